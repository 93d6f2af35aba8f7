"""What users give: images, videos and sounds of any size, rate and length, and files that are none."""

import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import CLIP

from veo_core.errors import UsageError
from veo_core.generate.given import SOUND_RATE, read_image, read_sound, read_video
from veo_core.media.decode import decode
from veo_core.media.encode import encode


def picture(height: int, width: int) -> np.ndarray:
    """Red on the left, blue on the right, a green stripe in the middle; uint8 [h, w, 3]."""
    made = np.zeros((height, width, 3), np.uint8)
    made[:, : width // 2] = (200, 0, 0)
    made[:, width // 2 :] = (0, 0, 200)
    made[:, 3 * width // 8 : 5 * width // 8] = (0, 200, 0)
    return made


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp"])
def test_image_of_the_models_size_is_taken_as_it_is(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(32, 32)).save(path, lossless=True)
    read, note = read_image(path, 32, 32)
    assert note == ""
    assert np.abs(read.astype(int) - picture(32, 32)).max() <= (3 if suffix == "webp" else 0)


def test_wide_image_is_cut_to_its_centre_and_scaled(tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(picture(90, 360)).save(path)
    read, note = read_image(path, 32, 32)
    assert note == "the image of 360x90 is cut to its centre and scaled to 32x32"
    assert read.shape == (32, 32, 3)
    assert (read[16, 16] == (0, 200, 0)).all()
    assert read[:, 1, 1].min() > 190


def test_small_image_of_the_models_shape_is_scaled_up(tmp_path):
    path = tmp_path / "small.png"
    Image.fromarray(picture(8, 8)).save(path)
    read, note = read_image(path, 32, 32)
    assert note == "the image of 8x8 is scaled to 32x32"
    assert read[16, 1, 0] > 150
    assert read[16, 30, 2] > 150


def test_photograph_is_set_upright_as_its_exif_says(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter with the clock when shown
    Image.fromarray(picture(64, 64)).save(path, quality=95, exif=exif)
    read, _ = read_image(path, 32, 32)
    assert read[2, 16, 0] > 150
    assert read[29, 16, 2] > 150


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"no image", "not a PNG, JPEG, WebP or BMP file"),
        ("a.png", b"", "not a PNG, JPEG, WebP or BMP file"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "image .*a.png: "),
        ("a.jpg", b"\xff\xd8\xff\xe0" + b"x" * 99, "image .*a.jpg: "),
        ("missing/a.png", None, "cannot be read: No such file"),
    ],
)
def test_image_that_cannot_be_decoded_is_named_in_one_line(tmp_path, name, data, message):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_image(path, 32, 32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("side", "message"), [(3_200, "3200x3200 pixels are too many"), (5_000, "")])
def test_image_of_too_many_pixels_is_refused(tmp_path, side, message):
    path = tmp_path / "huge.png"
    Image.new("1", (side, side)).save(path)
    with pytest.raises(UsageError, match=rf"huge\.png: .*{message}"):
        read_image(path, 32, 32)


def film(path: Path, frames: int, *, fps: float = 8.0, size: tuple[int, int] = (32, 32)) -> Path:
    """A bright bar that moves down a row a frame."""
    pictures = np.zeros((frames, *size, 3), np.uint8)
    for number, one in enumerate(pictures):
        one[number % size[0]] = 255
    encode(path, pictures, fps=fps, crf=1)
    return path


def test_video_of_the_models_size_and_rate_is_taken_as_it_is(tmp_path):
    path = film(tmp_path / "v.mp4", 9)
    video, note = read_video(path, CLIP)
    assert (note, video.is_longer) == ("", False)
    assert np.array_equal(video.frames, decode(path).frames)


def test_video_of_another_rate_gives_the_pictures_on_show(tmp_path):
    video, _ = read_video(film(tmp_path / "v.mp4", 25, fps=24.0), CLIP)
    rows = video.frames[..., 0].mean(2).argmax(1)
    assert rows.tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24]


def test_longer_video_is_cut_and_said_so(tmp_path):
    video, note = read_video(film(tmp_path / "v.mp4", 40, size=(64, 128)), CLIP)
    assert video.is_longer
    assert video.frames.shape == (9, 32, 32, 3)
    assert "the video of 128x64 is cut to its centre and scaled to 32x32" in note
    assert "only the first 1 s of the video are used" in note


def test_video_that_is_too_short_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"it lasts 0\.50 s, the model's clips 1\.00 s"):
        read_video(film(tmp_path / "v.mp4", 4), CLIP)


def test_video_that_is_none_is_named(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 400)
    with pytest.raises(UsageError, match=r"video .*v\.mp4: "):
        read_video(path, CLIP)


def tone(path: Path, seconds: float, rate: int = 44_100, channels: int = 2) -> Path:
    wavetable = 0.5 * np.sin(2 * np.pi * 500 * np.arange(round(seconds * rate)) / rate)
    data = np.repeat((wavetable * 32767).astype("<i2")[:, None], channels, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(data.tobytes())
    return path


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_sound_is_read_for_the_model_and_as_it_is(tmp_path):
    sound, note = read_sound(tone(tmp_path / "s.wav", 1.0), CLIP)
    assert note == ""
    assert sound.samples.shape == (CLIP.samples,)
    assert sound.own.shape == (2, SOUND_RATE)
    assert loudest_hertz(sound.samples, CLIP.audio_rate) == pytest.approx(500, abs=2)
    assert loudest_hertz(sound.own[0], SOUND_RATE) == pytest.approx(500, abs=2)


def test_short_sound_is_followed_by_silence_and_a_long_one_is_cut(tmp_path):
    short, note = read_sound(tone(tmp_path / "short.wav", 0.25), CLIP)
    assert note == "the sound lasts 0.25 s: silence follows it up to 1 s"
    assert np.abs(short.samples[: CLIP.samples // 5]).max() > 0.4
    assert np.abs(short.samples[CLIP.samples // 3 :]).max() == 0.0
    long, note = read_sound(tone(tmp_path / "long.wav", 3.0), CLIP)
    assert note == "only the first 1 s of the sound are used"
    assert long.own.shape == (2, SOUND_RATE)


def test_sound_of_a_video_is_read_too(tmp_path):
    path = tmp_path / "v.mp4"
    audio = 0.5 * np.sin(2 * np.pi * 700 * np.arange(48_000) / 48_000, dtype=np.float32)
    encode(path, np.zeros((9, 32, 32, 3), np.uint8), fps=8.0, audio=audio[None])
    sound, _ = read_sound(path, CLIP)
    assert loudest_hertz(sound.samples, CLIP.audio_rate) == pytest.approx(700, abs=2)


@pytest.mark.parametrize("data", [b"no sound", b"RIFF\0\0\0\0WAVE"])
def test_sound_that_is_none_is_named(tmp_path, data):
    path = tmp_path / "s.wav"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"sound .*s\.wav: "):
        read_sound(path, CLIP)
