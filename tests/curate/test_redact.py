"""Blurring in real files: what is hidden is gone, everything else stays."""

import av
import cv2
import numpy as np
import pytest
from clips import FPS, FRAMES, HEIGHT, RATE, WIDTH, clip_of, scene

from veo_core.curate.redact import Redaction, redact, redact_all, spread
from veo_core.media.decode import decode
from veo_core.media.encode import encode_frames
from veo_core.media.hashes import hamming, phash
from veo_core.media.verify import verify
from veo_core.records.clip import Flag, Region
from veo_core.records.files import FileRef

SEEN_AT = spread(FRAMES, 4)
# A plate that moves to the right, and a face that is seen in the third key frame only.
PLATE = [Region(frame=i, x0=0.1 + 0.1 * i, y0=0.15, x1=0.5 + 0.1 * i, y1=0.35) for i in range(4)]
FACE = [Region(frame=2, x0=0.7, y0=0.6, x1=0.85, y1=0.85)]
FLAGS = (Flag(kind="plate", policy="blur", regions=PLATE), Flag(kind="face", policy="blur", regions=FACE))


@pytest.fixture
def blurred(store):
    """A clip and what blurring makes of it."""

    def run(flags=FLAGS, plate="KX 4071", seed=1):
        clip = clip_of(store, 0, frames=street(plate, seed))
        return clip, redact(Redaction.of(clip, flags, 0.2, None), store).applied_to(clip)

    return run


def pixels(x0, y0, x1, y1):
    return slice(round(y0 * HEIGHT), round(y1 * HEIGHT)), slice(round(x0 * WIDTH), round(x1 * WIDTH))


def street(number_plate, seed):
    """A scene with a plate that moves and a face, which stands for any, that does not."""
    frames = scene(0)[0].copy()
    face = pixels(0.7, 0.6, 0.85, 0.85)
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    for frame, picture in enumerate(frames):
        plate = pixels(*where(frame))
        board = np.full((plate[0].stop - plate[0].start, plate[1].stop - plate[1].start, 3), 240, np.uint8)
        cv2.putText(board, number_plate, (3, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (10, 10, 10), 2)
        picture[plate] = board
        height, width = picture[face].shape[:2]
        picture[face] = cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
    return frames


def where(frame):
    """The plate's corners in a frame."""
    way = 0.3 * frame / (FRAMES - 1)
    return 0.1 + way, 0.15, 0.5 + way, 0.35


def difference(one, other, box):
    return float(np.abs(one[pixels(*box)].astype(int) - other[pixels(*box)]).mean())


def frames_of(store, clip):
    return decode(store.local_path(clip.media, None)).frames


def packets(store, clip):
    with av.open(str(store.local_path(clip.media, None))) as container:
        sound = container.streams.audio[0]
        return [(p.pts, p.dts, bytes(p)) for p in container.demux(sound) if p.size]


def test_two_clips_can_no_longer_be_told_apart_by_what_is_boxed(store, blurred):
    one, other = blurred(plate="KX 4071", seed=1), blurred(plate="BM 9358", seed=2)
    before = [frames_of(store, clip) for clip in (one[0], other[0])]
    after = [frames_of(store, clip) for clip in (one[1], other[1])]
    assert len(after[0]) == FRAMES
    face = (0.7, 0.6, 0.85, 0.85)
    for frame in range(FRAMES):
        old, new = ([clip[frame] for clip in clips] for clips in (before, after))
        assert difference(*new, where(frame)) < 0.2 * difference(*old, where(frame))
        if SEEN_AT[1] <= frame <= SEEN_AT[3]:
            assert difference(*new, face) < 0.5 * difference(*old, face)


def test_what_is_outside_stays_within_the_noise_of_one_encoding(store, blurred):
    before, after = (frames_of(store, clip) for clip in blurred())
    for frame in range(FRAMES):
        assert difference(before[frame], after[frame], (0, 0.45, 0.6, 1)) < 3.0
        if frame < SEEN_AT[1]:
            assert difference(before[frame], after[frame], (0.6, 0.5, 1, 1)) < 3.0
        assert difference(before[frame], after[frame], where(frame)) > 20.0


def test_sound_is_copied_packet_for_packet(store, blurred):
    before, after = blurred()
    assert packets(store, before) == packets(store, after)
    decoded = [decode(store.local_path(clip.media, None)) for clip in (before, after)]
    assert np.array_equal(decoded[0].audio, decoded[1].audio)
    assert decoded[0].pts.tolist() == decoded[1].pts.tolist()


def test_clip_still_meets_its_specification(blurred):
    before, after = blurred()
    assert after.facts == before.facts
    assert after.media != before.media


@pytest.mark.parametrize("codec", ["av1", "vp9"])
def test_clip_keeps_its_codec(store, tmp_path, codec):
    frames, sound = scene(0)
    pictures = (
        av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24").reformat(format="yuv420p")
        for f in frames
    )
    path = tmp_path / "clip.mp4"
    encode_frames(
        path, pictures, height=HEIGHT, width=WIDTH, fps=FPS, audio=sound, audio_rate=RATE, codec=codec
    )
    facts = verify(path, fps=FPS, frames=FRAMES, made_by="transcode")
    clip = clip_of(store, 0).model_copy(update={"media": store.put_file(path), "facts": facts})
    result = redact(Redaction.of(clip, FLAGS, 0.2, None), store).applied_to(clip)
    assert (result.facts, result.facts.codec) == (facts, codec)
    assert packets(store, result) == packets(store, clip)


def test_key_frames_that_show_something_are_replaced_and_others_stay(store, blurred):
    plate = Flag(kind="plate", policy="blur", regions=PLATE[1:2])
    before, after = blurred([plate])
    same = [a == b for a, b in zip(before.key_frames, after.key_frames, strict=True)]
    assert same == [False, False, False, True]
    old, new = (
        cv2.imdecode(np.frombuffer(store.get_bytes(clip.key_frames[1]), np.uint8), cv2.IMREAD_COLOR)
        for clip in (before, after)
    )
    assert old.shape == new.shape
    assert difference(old, new, where(SEEN_AT[1])) > 20.0
    assert difference(old, new, (0, 0.5, 1, 1)) < 2.0


def test_hashes_are_those_of_the_blurred_pictures(store, blurred):
    before, after = blurred()
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_of(store, after)]
    expected = [phash(lumas[index]) for index in spread(FRAMES, 5)]
    assert len(after.frame_hashes) == len(before.frame_hashes) == 5
    distances = [
        hamming(int(text, 16), value) for text, value in zip(after.frame_hashes, expected, strict=True)
    ]
    assert max(distances) <= 6


def test_blurring_twice_gives_the_same_bytes(blurred):
    assert blurred()[1] == blurred()[1]


def test_clip_that_is_not_what_it_was_is_of_no_use(store):
    clip = clip_of(store, 0)
    longer = clip.model_copy(update={"facts": clip.facts.model_copy(update={"frames": FRAMES + 4})})
    (result,) = redact_all([Redaction.of(longer, FLAGS, 0.2, None).to_bytes()], store=store)
    assert (result.media, result.rule) == (None, "unverified")


def test_lost_file_is_an_error_of_the_run(store):
    clip = clip_of(store, 0)
    lost = clip.model_copy(update={"media": FileRef(path="objects/00/0.mp4", sha256="0" * 64, bytes=1)})
    with pytest.raises(Exception, match="missing"):
        redact(Redaction.of(lost, FLAGS, 0.2, None), store)
