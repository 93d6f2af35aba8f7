import io
import wave
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import CONFIG, SmallRun, context
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from veo_core.errors import UsageError
from veo_core.storage import Store
from veo_core.train.journal import learning_log, throughput_of
from veo_core.train.loop import FitConfig
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime
from veo_core.train.throughput import Meter

STEPS = list(range(5, 26, 5))
FILMED = FitConfig.model_validate({**CONFIG.model_dump(), "steps": 25, "samples_every": 10})


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def films(run: SmallRun):
    """Two clips of 4 frames and 0.5 s, whose brightness is the model's answer."""

    def draw() -> tuple[np.ndarray, np.ndarray, int]:
        assert not run.model.training
        assert not torch.is_grad_enabled()
        level = int(run.model(torch.ones(1, 4)).abs().clamp(max=20) * 10)
        frames = np.full((2, 4, 16, 24, 3), level, np.uint8)
        frames[:, :, :4, :4] = np.arange(0, 160, 40, dtype=np.uint8)[None, :, None, None, None]
        audio = np.sin(np.arange(4000) / 8000 * 2 * np.pi * 440, dtype=np.float32)
        return frames, np.stack([audio, 0.5 * audio]), 8000

    return draw


def read(data: bytes, folder) -> EventAccumulator:
    """Events as TensorBoard's own reader sees them."""
    path = folder / "events.tfevents"
    path.write_bytes(data)
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0, "audio": 0})
    events.Reload()
    return events


def test_tensorboard_reads_the_curves_of_the_history(store, tmp_path):
    history = SmallRun(FILMED).fit(store)
    events = read(learning_log(context(store)), tmp_path)
    assert set(events.Tags()["scalars"]) == {"loss", "gradient", "learning_rate"}
    for tag in events.Tags()["scalars"]:
        assert [event.step for event in events.Scalars(tag)] == STEPS
        assert [event.value for event in events.Scalars(tag)] == pytest.approx([row[tag] for row in history])


def test_tensorboard_plays_the_samples(store, tmp_path):
    run = SmallRun(FILMED)
    run.fit(store, samples=films(run))
    events = read(learning_log(context(store)), tmp_path)
    assert set(events.Tags()["images"]) == {"samples/0/picture", "samples/1/picture"}
    first, second = events.Images("samples/1/picture")
    assert (first.step, second.step) == (10, 20)
    assert (first.width, first.height) == (24, 16)
    with Image.open(io.BytesIO(first.encoded_image_string)) as picture:
        assert (picture.format, picture.n_frames, picture.info["duration"]) == ("GIF", 4, 120)
        picture.seek(2)
        assert picture.convert("RGB").getpixel((1, 1)) == (80, 80, 80)
    sound = events.Audio("samples/1/sound")[0]
    assert (sound.sample_rate, sound.length_frames, sound.content_type) == (8000, 4000, "audio/wav")
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as heard:
        samples = np.frombuffer(heard.readframes(4000), "<i2") / 32767
    assert np.abs(samples).max() == pytest.approx(0.5, abs=1e-3)


def test_samples_do_not_change_what_is_learned(store):
    plain, filmed = (
        SmallRun(),
        SmallRun(FitConfig.model_validate({**CONFIG.model_dump(), "samples_every": 5})),
    )
    expected = plain.fit(store, "plain")
    assert filmed.fit(store, "filmed", samples=films(filmed)) == expected
    assert all(torch.equal(filmed.weights()[name], weight) for name, weight in plain.weights().items())


def test_log_of_a_resumed_run_equals_that_of_an_uninterrupted_one(store):
    whole = SmallRun(FILMED)
    whole.fit(store, "whole", samples=films(whole))
    killed, resumed = SmallRun(FILMED), SmallRun(FILMED)
    killed.at[18] = ConnectionError("killed")
    with pytest.raises(ConnectionError):
        killed.fit(store, "killed", samples=films(killed))
    resumed.fit(store, "killed", samples=films(resumed))
    assert learning_log(context(store, "killed")) == learning_log(context(store, "whole"))


def test_manifest_of_a_stage_holds_the_event_file(store, tmp_path):
    run = SmallRun(FILMED)
    run.model.config = FILMED
    history = run.fit(store)
    manifest = training_manifest(run.model, history, {}, FILMED, context(store))
    assert manifest.files["tensorboard"].path.endswith(".tfevents")
    events = read(store.get_bytes(manifest.files["tensorboard"]), tmp_path)
    assert [event.step for event in events.Scalars("loss")] == STEPS
    assert not [mark for mark in store.marks() if "checkpoint" in mark]


def test_speed_of_a_run_is_on_record_and_in_tensorboard(store, tmp_path):
    seconds = count()
    SmallRun(FILMED).fit(store, waited=lambda: next(seconds) * 1e-4, flops_per_clip=1e6)
    speed = throughput_of(context(store))
    assert speed.steps == 20
    assert speed.clips_per_second == pytest.approx(8 / speed.seconds_per_step)
    assert speed.waiting == pytest.approx(4 * 1e-4 / (20 * speed.seconds_per_step))
    assert speed.tflops == pytest.approx(speed.clips_per_second * 1e-6)
    assert speed.mfu is None
    assert speed.peak_memory > 10 * 2**20
    data = store.get_mark("small/k/tensorboard/speed/events.tfevents")
    events = read(data, tmp_path)
    assert set(events.Tags()["scalars"]) == {
        "steps", "seconds_per_step", "clips_per_second", "waiting", "tflops", "peak_memory",
    }  # fmt: skip
    assert [event.step for event in events.Scalars("clips_per_second")] == STEPS


def test_mfu_is_the_share_of_the_peak_over_all_devices(monkeypatch):
    runtime = Runtime(CONFIG.runtime)
    monkeypatch.setattr(runtime, "devices", 2)
    monkeypatch.setattr(runtime, "peak_flops", lambda: 1e9)
    speed = Meter(16, runtime, 1e7, None).lap(3)
    assert speed.waiting is None
    assert speed.mfu == pytest.approx(speed.clips_per_second * 1e7 / 2 / 1e9)
    assert f"MFU {speed.mfu:.1%}" in str(speed)


def test_batch_that_cannot_be_shared_equally_is_refused(monkeypatch):
    runtime = Runtime(CONFIG.runtime)
    monkeypatch.setattr(runtime, "devices", 3)
    with pytest.raises(UsageError, match="8 clips cannot be shared equally by 3 devices"):
        runtime.shard(torch.zeros(8, 2))
