"""Pictures at a file's key frames, each with the time at which it is shown."""

from fractions import Fraction

import av
import numpy as np
import pytest

from veo_core.errors import ItemError
from veo_core.media.encode import encode
from veo_core.media.key_frames import key_frames


def numbered(count, side=64):
    """Pictures whose grey level tells their number."""
    return np.stack([np.full((side, side, 3), 4 * number, np.uint8) for number in range(count)])


def number_of(picture):
    return round(float(picture.mean()) / 4)


@pytest.fixture
def film(tmp_path):
    """50 pictures at 10 a second, a key frame every second."""
    path = tmp_path / "film.mp4"
    encode(path, numbered(50), fps=10.0, gop_seconds=1.0)
    return path


def test_each_picture_is_a_key_frame_and_knows_its_time(film):
    found = key_frames(film, count=3)
    assert [round(frame.time, 3) for frame in found] == [0.0, 2.0, 4.0]
    assert [number_of(frame.picture) for frame in found] == [0, 20, 40]


def test_moments_that_share_a_key_frame_give_it_once(film):
    assert len(key_frames(film, count=100)) == 5


def test_pictures_are_scaled_down_but_never_up(film):
    assert key_frames(film, count=1, max_short_side=32)[0].picture.shape == (32, 32, 3)
    assert key_frames(film, count=1, max_short_side=999)[0].picture.shape == (64, 64, 3)


def test_key_frame_that_an_edit_list_hides_gives_way_to_the_first_picture_shown(film, tmp_path):
    cut = tmp_path / "cut.mp4"
    with av.open(str(film)) as reader, av.open(str(cut), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.dts is not None and packet.pts * packet.time_base < 1:
                packet.pts -= int(Fraction(1, 2) / packet.time_base)
                packet.dts -= int(Fraction(1, 2) / packet.time_base)
                packet.stream = stream
                writer.mux(packet)
    (frame,) = key_frames(cut, count=3)
    assert (frame.time, number_of(frame.picture)) == (0.0, 5)


def test_file_that_is_no_film_is_an_item_error(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    with pytest.raises(ItemError) as caught:
        key_frames(path, count=1)
    assert caught.value.rule == "undecodable"
