"""From one file of real footage's kinds to its clips, without the stage around it."""

from fractions import Fraction

import av
import cv2
import imageio.v2 as imageio
import numpy as np
import pytest

from veo_core.curate.produce import Spec, produce
from veo_core.errors import ItemError
from veo_core.media.decode import decode
from veo_core.media.encode import encode

RATE = 48_000
SPEC = Spec(short_side=96, fps=12.0, frames=25)


def film(seconds=3.0, height=96, width=160, fps=24.0):
    """A light square that crosses a picture which is brighter at the top left; a click each half second."""
    times = np.arange(round(seconds * fps)) / fps
    frames = np.full((len(times), height, width, 3), 60, np.uint8)
    frames[:, : height // 2, : width // 2] = 110
    for frame, time in zip(frames, times, strict=True):
        left = round(8 + 40 * time)
        frame[height // 2 : height // 2 + 24, left : left + 24] = (230, 200, 60)
    audio = np.zeros((1, round(seconds * RATE)), np.float32)
    for start in range(RATE // 2, audio.shape[1] - 2400, RATE // 2):
        audio[0, start : start + 2400] = 0.5 * np.sin(np.arange(2400) * 0.1)
    return frames, audio


def write(path, frames, audio, *, fps=24.0, codec="libx264", options=None, audio_rate=RATE, setup=None):
    """A file written with PyAV alone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        video.options = options or {}
        if setup is not None:
            setup(video)
        sound = container.add_stream("aac", rate=audio_rate, layout="mono" if len(audio) == 1 else "stereo")
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, 1 / Fraction(fps).limit_denominator(1001)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, audio.shape[1], 1024):
            piece = np.ascontiguousarray(audio[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=sound.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = audio_rate, start, Fraction(1, audio_rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.fixture
def made(tmp_path):
    """The reports on a file's shots, and a function that gives the path of what one of them names."""

    def run(path, spec=SPEC):
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        return produce(path, folder, spec).shots, folder.joinpath

    return run


@pytest.fixture
def landscape(tmp_path):
    return write(tmp_path / "a.mp4", *film())


def clicks(path):
    audio = decode(path).audio.mean(axis=0)
    loud = np.flatnonzero(np.abs(audio) > 0.15) / RATE
    return loud[np.diff(loud, prepend=-1.0) > 0.1]


def test_clip_is_what_the_specification_says_for_a_second_and_a_third_reader(landscape, made):
    (shot,), at = made(landscape)
    path = at(shot.media)
    assert (shot.facts.frames, shot.facts.height, shot.facts.width) == (25, 96, 160)
    capture = cv2.VideoCapture(str(path))
    counted = 0
    while capture.read()[0]:
        counted += 1
    assert counted == 25
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.0)
    assert sum(1 for _ in imageio.get_reader(path)) == 25
    assert np.allclose(clicks(path), [0.5, 1.0, 1.5, 2.0], atol=0.01)


def test_portrait_by_display_matrix_is_set_upright(tmp_path, made):
    frames, audio = film()
    path = write(tmp_path / "a.mp4", frames, audio, setup=lambda video: video.set_display_rotation(90))
    (shot,), at = made(path)
    assert (shot.facts.height, shot.facts.width) == (160, 96)
    first = decode(at(shot.media)).frames[0].mean(axis=2)
    corners = {"tl": first[4, 4], "tr": first[4, -4], "bl": first[-4, 4], "br": first[-4, -4]}
    assert max(corners, key=corners.get) == "bl"
    picture = cv2.imread(str(at(shot.key_frames[0])))
    assert picture.shape[0] > picture.shape[1]


def test_pixels_that_are_not_square_are_made_square(tmp_path, made):
    def stretch(video):
        video.codec_context.sample_aspect_ratio = Fraction(3, 2)

    path = write(tmp_path / "a.mp4", *film(width=128), setup=stretch)
    (shot,), _ = made(path)
    assert (shot.facts.height, shot.facts.width) == (96, 192)


def test_bars_of_a_picture_larger_than_its_view_leave_no_line(tmp_path, made):
    frames, audio = film(height=270, width=480)
    frames[:, :37] = frames[:, -37:] = 0
    (shot,), at = made(write(tmp_path / "a.mp4", frames, audio))
    assert shot.signals.bars == pytest.approx(74 / 270, abs=0.02)
    assert decode(at(shot.media)).frames.mean(axis=(0, 2, 3)).min() > 50


def test_start_by_an_edit_list_is_where_players_start(tmp_path, made):
    """A cut without a transcode in the middle of a group of pictures: what comes before is hidden."""
    whole = write(tmp_path / "a.mp4", *film(4.0), options={"g": "48", "x264-params": "scenecut=0"})
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w", options={"use_editlist": "1"}) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            hidden = round(0.75 / packet.time_base)
            packet.pts, packet.dts = packet.pts - hidden, packet.dts - hidden
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
    (shot,), at = made(cut)
    assert shot.signals.duration_gap == pytest.approx(0.0, abs=0.1)
    clip = decode(at(shot.media))
    left = np.flatnonzero(clip.frames[0, 60].mean(axis=1) > 140)[0]
    assert left == pytest.approx(8 + 40 * 0.75, abs=3)
    assert clicks(at(shot.media))[0] == pytest.approx(0.25, abs=0.02)


@pytest.fixture
def conforming(tmp_path):
    """Footage that is at the specification already: two shots, the second from a key frame on."""
    first, audio = film(2.5, fps=12.0)
    second = 255 - first
    both = np.concatenate([first, second]), np.concatenate([audio, np.roll(audio, RATE // 4, axis=1)], axis=1)
    path = tmp_path / "conforming.mp4"
    encode(path, both[0], fps=12.0, audio=both[1], gop_seconds=0.5)
    return path, len(first) / 12.0


def packets_of(path, count):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size][:count]


def test_shot_that_meets_the_specification_is_copied_with_its_sound(conforming, made):
    path, second_start = conforming
    shots, at = made(path)
    assert [shot.start for shot in shots] == [0.0, pytest.approx(second_start)]
    assert {shot.facts.made_by for shot in shots} == {"remux"}
    assert packets_of(at("0.mp4"), 25) == packets_of(path, 25)
    assert np.allclose(clicks(at("0.mp4")), clicks(path)[:4], atol=0.003)
    later = clicks(path) - second_start
    assert np.allclose(clicks(at("1.mp4")), later[(later > 0) & (later < 2.0)], atol=0.003)
    first = decode(at("1.mp4"))
    assert first.start == 0.0
    whole = decode(path)
    assert np.array_equal(first.frames, whole.frames[30:55])


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "vp9"},
        {"short_side": 64},
        {"fps": 8.0, "frames": 17},
        {"audio_rate": 44_100},
        {"copy_packets": False},
        {"frames": 22},  # ends within a group of pictures, whose last shown need one beyond it
    ],
)
def test_shot_that_differs_from_the_specification_is_transcoded(conforming, made, change):
    shots, _ = made(conforming[0], SPEC.model_copy(update=change))
    assert {shot.facts.made_by for shot in shots} == {"transcode"}


def test_shot_with_a_long_group_of_pictures_is_transcoded(tmp_path, made):
    path = tmp_path / "a.mp4"
    frames, audio = film(fps=12.0)
    encode(path, frames, fps=12.0, audio=audio, gop_seconds=2.0)
    (shot,), _ = made(path)
    assert shot.facts.made_by == "transcode"


@pytest.mark.parametrize("codec", ["h264", "av1", "vp9"])
def test_each_encoder_gives_equal_bytes_for_equal_input(landscape, made, codec):
    spec = SPEC.model_copy(update={"codec": codec})
    contents = set()
    for _ in range(2):
        (shot,), at = made(landscape, spec)
        contents.add(at(shot.media).read_bytes())
        assert shot.facts.codec == codec
    assert len(contents) == 1
    assert len(decode(at(shot.media)).frames) == 25


def test_stereo_stays_and_more_channels_become_stereo(tmp_path, made):
    frames, audio = film()
    both = np.concatenate([audio, 0.25 * audio])
    (shot,), at = made(write(tmp_path / "a.mp4", frames, both))
    left, right = np.abs(decode(at(shot.media)).audio).max(axis=1)
    assert shot.facts.audio_channels == 2
    assert right / left == pytest.approx(0.25, abs=0.05)


def test_clip_larger_than_the_limit_is_dropped_with_its_size(landscape, made):
    (shot,), at = made(landscape, SPEC.model_copy(update={"max_bytes": 4_000}))
    assert (shot.rule, shot.threshold) == ("too_large", 4_000)
    assert shot.value > 4_000
    assert not at("0.mp4").exists()


def test_sound_that_ends_early_is_measured_as_a_gap(tmp_path, made):
    frames, audio = film()
    (shot,), _ = made(write(tmp_path / "a.mp4", frames, audio[:, : 2 * RATE]))
    assert shot.signals.duration_gap == pytest.approx(-1.0, abs=0.05)
    assert shot.signals.has_audio


def test_exposure_silence_and_loudness_are_measured(tmp_path, made):
    frames, audio = film()
    frames[:, 76:92, 20:140] = 0
    frames[:, :48, -32:] = 255
    (shot,), _ = made(write(tmp_path / "a.mp4", frames, audio))
    assert shot.signals.underexposed == pytest.approx(0.125, abs=0.02)
    assert shot.signals.overexposed == pytest.approx(0.1, abs=0.02)
    assert shot.signals.silence == pytest.approx(0.85, abs=0.08)
    assert -40 < shot.signals.lufs < -10


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_matroska_file_that_was_cut_off_is_undecodable(tmp_path, made, share):
    path = write(tmp_path / "a.mkv", *film())
    data = path.read_bytes()
    assert len(made(path)[0]) == 1
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ItemError) as caught:
        made(path)
    assert caught.value.rule == "undecodable"


def test_ten_bit_pictures_are_prepared(tmp_path, made):
    def deepen(video):
        video.pix_fmt = "yuv420p10le"

    (shot,), at = made(write(tmp_path / "a.mp4", *film(), setup=deepen))
    assert decode(at(shot.media)).frames[0, 4, 4].mean() == pytest.approx(110, abs=4)
