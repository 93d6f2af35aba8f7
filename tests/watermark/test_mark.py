"""The one interface: picture and sound are marked together and read together, under keys that change."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from veo_core.cli.main import main
from veo_core.media.decode import decode
from veo_core.media.encode import encode
from veo_core.watermark.keys import DEVELOPMENT_KEY, KEY_VARIABLE, Key
from veo_core.watermark.mark import Reading, mark, read
from veo_core.watermark.payload import Payload
from veo_core.world.take import Take

UInt8 = npt.NDArray[np.uint8]

OLD, NEW = Key(b"the key of last year"), Key(b"the key of this year")
PAYLOAD = Payload(model_id=0xBEEF, generation_id=0x01234567)


@pytest.fixture(scope="module")
def file(world_take: Take, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of the embedded world, marked with the old key, in an MP4 file."""
    frames, audio = mark(world_take.frames, world_take.audio, world_take.audio_rate, PAYLOAD, [OLD])
    path = tmp_path_factory.mktemp("marked") / "clip.mp4"
    encode(path, frames, fps=world_take.fps, audio=audio, audio_rate=world_take.audio_rate)
    return path


def reading_of(path: Path, *keys: Key) -> Reading:
    decoded = decode(path)
    return read(decoded.frames, decoded.audio, decoded.audio_rate, keys)


def test_marked_file_says_model_and_generation(file: Path) -> None:
    reading = reading_of(file, OLD)
    assert reading.detected
    assert reading.payload == PAYLOAD
    assert reading.key_id == OLD.id
    assert not reading.development_key
    assert reading.p_value_sound is not None


def test_after_a_change_of_keys_old_marks_are_still_read(file: Path) -> None:
    assert reading_of(file, NEW, OLD).payload == PAYLOAD
    assert reading_of(file, NEW, OLD).key_id == OLD.id
    assert not reading_of(file, NEW).detected
    assert reading_of(file, NEW).payload is None


def test_first_key_marks(natural_frames: UInt8) -> None:
    marked, _ = mark(natural_frames, None, 0, PAYLOAD, [NEW, OLD])
    assert read(marked, None, 0, [OLD, NEW]).key_id == NEW.id


def test_clip_without_sound_is_read_by_its_picture(natural_frames: UInt8) -> None:
    marked, audio = mark(natural_frames, None, 0, PAYLOAD, [DEVELOPMENT_KEY])
    reading = read(marked, None, 0, [DEVELOPMENT_KEY])
    assert audio is None
    assert reading.payload == PAYLOAD
    assert reading.p_value_sound is None
    assert reading.development_key


def test_unmarked_clip_has_no_mark(world_take: Take) -> None:
    reading = read(world_take.frames, world_take.audio, world_take.audio_rate, [OLD, NEW])
    assert not reading.detected
    assert (reading.payload, reading.key_id) == (None, None)


def test_marks_of_several_clips_over_each_other_are_found_and_none_is_believed(
    natural_frames: UInt8,
) -> None:
    """Who averages what marks left and adds it to another clip gets no payload, and none off a marked one."""
    frames = natural_frames[:1]
    left = np.zeros(frames.shape)
    for number in range(8):
        payload = Payload(model_id=1, generation_id=number)
        left += mark(frames, None, 0, payload, [OLD])[0].astype(float) - frames
    left *= 255 / 10 ** (38 / 20) / left.std()
    other = natural_frames[6:]
    forged = np.clip(other + left, 0, 255).astype(np.uint8)
    reading = read(forged, None, 0, [OLD])
    assert reading.payload is None
    marked, _ = mark(other, None, 0, PAYLOAD, [OLD])
    attacked = np.clip(marked - left, 0, 255).astype(np.uint8)
    assert read(attacked, None, 0, [OLD]).detected


def test_verify_media_prints_the_payload(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{NEW.secret.decode()},{OLD.secret.decode()}")
    assert main(["verify-media", str(file)]) == 0
    told = capsys.readouterr().out
    assert "model: beef" in told
    assert "generation: 01234567" in told
    assert OLD.id in told
    assert OLD.secret.decode() not in told
    assert main(["verify-media", str(file), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["watermark"]
    assert Reading.parse(value, where="output").payload == PAYLOAD


def test_verify_media_without_keys_reads_with_the_development_key(
    world_take: Take,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    frames, _ = mark(world_take.frames, None, 0, PAYLOAD, [DEVELOPMENT_KEY])
    encode(tmp_path / "clip.mp4", frames, fps=8.0)
    assert main(["verify-media", str(tmp_path / "clip.mp4")]) == 0
    assert "development key: anyone can read and forge it" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"no media at all"])
def test_verify_media_of_what_is_no_media_is_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    assert main(["verify-media", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}")
    assert error.count("\n") == 1
