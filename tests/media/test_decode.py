import av
import numpy as np
import pytest

from veo_core.errors import ItemError
from veo_core.media.decode import Limits, decode, frames_at
from veo_core.media.encode import encode


def test_decoding_what_was_encoded_gives_back_pictures_times_and_sound(square_file):
    decoded = decode(square_file)
    assert decoded.frames.shape == (40, 96, 96, 3)
    assert np.allclose(decoded.pts, np.arange(40) / 16, atol=1e-4)
    assert decoded.seconds == pytest.approx(2.5, abs=1e-3)
    assert decoded.start == 0
    assert decoded.audio is not None
    onset = np.argmax(np.abs(decoded.audio[0]) > 0.2) / decoded.audio_rate
    assert onset == pytest.approx(1.0, abs=0.01)


def test_encoding_equal_pictures_twice_gives_equal_bytes(tmp_path, square_file):
    decoded = decode(square_file)
    for name in ("a.mp4", "b.mp4"):
        encode(tmp_path / name, decoded.frames, fps=16, audio=decoded.audio, audio_rate=decoded.audio_rate)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_sound_starts_on_the_pictures_clock_when_the_picture_starts_late(tmp_path):
    frames = np.full((16, 32, 32, 3), 90, np.uint8)
    audio = np.zeros((1, 96_000), np.float32)
    audio[0, 48_000:52_800] = 0.5 * np.sin(np.arange(4800) * 0.1)
    path = tmp_path / "late.mp4"
    encode(path, frames, fps=16, audio=audio, pts=[0.5 + index / 16 for index in range(16)])
    decoded = decode(path)
    onset = np.argmax(np.abs(decoded.audio[0]) > 0.2) / decoded.audio_rate
    assert onset == pytest.approx(0.5, abs=0.02)


def test_frames_at_picks_by_time_when_the_frame_rate_varies(tmp_path):
    pts = [0.0, 0.1, 0.2, 0.9, 1.0]
    frames = np.stack([np.full((32, 32, 3), 40 * index, np.uint8) for index in range(5)])
    path = tmp_path / "vfr.mp4"
    encode(path, frames, fps=10, pts=pts)
    decoded = decode(path)
    assert np.allclose(decoded.pts, pts, atol=1e-3)
    assert frames_at(decoded, fps=2, count=3).tolist() == [0, 2, 4]


def test_packet_hash_stays_when_only_the_container_changes(tmp_path, square_file):
    remuxed = tmp_path / "square.mkv"
    with av.open(str(square_file)) as source, av.open(str(remuxed), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    assert decode(remuxed).packet_hash == decode(square_file).packet_hash
    assert remuxed.read_bytes() != square_file.read_bytes()


def test_large_pictures_come_scaled_down_when_asked_to(square_file):
    assert decode(square_file, max_short_side=48).frames.shape == (40, 48, 48, 3)
    assert decode(square_file, max_short_side=200).frames.shape == (40, 96, 96, 3)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_bytes=100),
        Limits(max_pixels=95 * 96),
        Limits(max_seconds=2.0),
        Limits(max_frames=39),
        Limits(max_streams=1),
        Limits(max_decoded_bytes=1_000_000),
    ],
)
def test_file_beyond_a_limit_is_refused(square_file, limits):
    with pytest.raises(ItemError) as caught:
        decode(square_file, limits=limits)
    assert caught.value.rule == "limit"


@pytest.mark.parametrize("content", [b"", b"hello world, no video", b"\0\0\0\x18ftypisom" + bytes(500)])
def test_what_is_no_video_is_undecodable(tmp_path, content):
    path = tmp_path / "fake.mp4"
    path.write_bytes(content)
    with pytest.raises(ItemError) as caught:
        decode(path)
    assert caught.value.rule == "undecodable"


def test_playlist_that_names_other_files_is_not_opened(tmp_path):
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    with pytest.raises(ItemError, match="not an MP4"):
        decode(path)


def test_sound_without_picture_is_undecodable(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ItemError, match="no picture"):
        decode(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
def test_truncated_file_is_undecodable(square_file, share):
    data = square_file.read_bytes()
    square_file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ItemError) as caught:
        decode(square_file)
    assert caught.value.rule == "undecodable"


def test_flipped_bits_give_an_item_error_or_whole_pictures(square_file, tmp_path):
    data = square_file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        mutated = bytearray(data)
        for position in rng.integers(0, len(data), 12):
            mutated[position] ^= 1 << int(rng.integers(8))
        path = tmp_path / "mutated.mp4"
        path.write_bytes(mutated)
        try:
            decoded = decode(path)
        except ItemError:
            refused += 1
        else:
            assert len(decoded.frames) == len(decoded.pts)
    assert refused > 30
