import json

import numpy as np
import pytest
from conftest import FIT, context
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from veo_core.data.latents import load_frames
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.generate import generate
from veo_core.generate.pipeline import Generator, model_files
from veo_core.media.decode import decode
from veo_core.models.files import load_stored
from veo_core.models.transformer import JointTransformer
from veo_core.models.video_vae import VideoVAE
from veo_core.records.generated import GeneratedClip, ModelFiles
from veo_core.train import base

SPEC = ClipSpec(frames=9, height=32, width=32)


@pytest.fixture(scope="session")
def generator(store, trained) -> Generator:
    parts = {name: trained[name] for name in ("video_vae", "audio_vae", "base", "upsampler")}
    files = model_files(**parts)
    assert ModelFiles.model_validate_json(files.to_bytes()) == files
    return Generator.load(files, store)


@pytest.mark.parametrize("stage", ["video_vae", "audio_vae", "base", "upsampler"])
def test_training_stage_publishes_weights_config_and_history(store, trained, stage):
    manifest = trained[stage]
    lines = store.get_bytes(manifest.files["history"]).decode().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]
    assert {"weights", "config", "history"} <= set(manifest.files)
    assert all(np.isfinite(value) for value in manifest.metrics.values())


def test_stage_when_run_again_from_scratch_then_its_weights_are_equal(store, trained):
    config = base.BaseTraining.model_validate({**FIT, "width": 32, "depth": 1, "heads": 2})
    again = base.run(latents=trained["latents"], config=config, context=context(store, "base", "other"))
    assert again.files == trained["base"].files


def test_overfitting_a_few_clips_lowers_both_losses(store, trained):
    config = base.BaseTraining.model_validate(
        {**FIT, "steps": 120, "batch": 8, "log_every": 20, "width": 64, "depth": 2, "learning_rate": 3e-3}
    )
    made = base.run(latents=trained["latents"], config=config, context=context(store, "base", "overfit"))
    rows = [json.loads(line) for line in store.get_bytes(made.files["history"]).decode().splitlines()]
    assert rows[-1]["video"] < 0.7 * rows[0]["video"]
    assert rows[-1]["audio"] < 0.7 * rows[0]["audio"]


def test_tensorboard_shows_and_plays_films_of_the_base_model(store, trained, tmp_path):
    config = base.BaseTraining.model_validate(
        {**FIT, "width": 32, "depth": 1, "heads": 2, "samples_every": 2}
    )
    made = base.run(latents=trained["latents"], config=config, context=context(store, "base", "filmed"))
    (tmp_path / "events.tfevents").write_bytes(store.get_bytes(made.files["tensorboard"]))
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0, "audio": 0}).Reload()
    for number in range(2):
        assert [picture.step for picture in events.Images(f"samples/{number}/picture")] == [2, 4]
        sound = events.Audio(f"samples/{number}/sound")[-1]
        assert (sound.sample_rate, sound.length_frames) == (SPEC.audio_rate, SPEC.samples)
    assert made.files["weights"] == trained["base"].files["weights"]


def test_weights_of_another_configuration_are_refused_by_name(store, trained):
    files = {**trained["base"].files, "weights": trained["video_vae"].files["weights"]}
    with pytest.raises(UsageError, match="base weights: they belong to another configuration"):
        load_stored(JointTransformer, files, store, where="base")


def test_weights_that_are_no_safetensors_file_are_refused(store, trained):
    files = {**trained["video_vae"].files, "weights": store.put_bytes(b"not weights", ".safetensors")}
    with pytest.raises(UsageError, match="not a safetensors file"):
        load_stored(VideoVAE, files, store, where="video VAE")


def test_generator_makes_clips_of_the_spec(generator):
    films = generator(["a red square moving left", "something never seen"], seed=1, steps=2)
    assert len(films) == 2
    frames, audio, rate = films[0]
    assert frames.shape == (9, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert audio.shape == (16_000,)
    assert audio.dtype == np.float32
    assert np.abs(audio).max() <= 1.0
    assert rate == 16_000


def test_generator_when_loaded_again_then_it_makes_the_same_pixels(store, trained, generator):
    parts = {name: trained[name] for name in ("video_vae", "audio_vae", "base", "upsampler")}
    again = Generator.load(model_files(**parts), store)
    a, b = generator(["a red square"], seed=4, steps=2)[0], again(["a red square"], seed=4, steps=2)[0]
    assert np.array_equal(a.frames, b.frames)
    assert np.array_equal(a.audio, b.audio)


def test_generator_draws_each_clip_from_its_own_seed(generator):
    batch = generator(["a red square", "a blue square"], seed=4, steps=2)
    alone = generator(["a blue square"], seed=5, steps=2)[0]
    assert np.abs(batch[1].frames.astype(int) - alone.frames).max() <= 2
    assert not np.array_equal(batch[0].frames, alone.frames)


def test_first_frame_when_given_then_the_clip_starts_with_its_reconstruction(store, trained, generator):
    frames, _ = load_frames(trained["latents"], store)
    images = frames[:, :, 0].permute(0, 2, 3, 1).numpy()
    films = generator(["a red square", ""], seed=0, steps=2, first_frames=images)
    pictures = frames[:, :, :1].float() / 127.5 - 1
    rebuilt = generator.video_codec.decode(generator.video_codec.encode(pictures))
    expected = ((rebuilt[:, :, 0] + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    for film, picture in zip(films, expected, strict=True):
        assert np.abs(film.frames[0] - picture).mean() < 1.5


def test_first_frames_of_a_wrong_size_are_refused(generator):
    with pytest.raises(UsageError, match="the image has shape"):
        generator(["a"], first_frames=np.zeros((1, 8, 8, 3), np.uint8))


def test_generate_stage_writes_films_that_play_and_a_sorted_account_of_them(store, trained):
    config = generate.Generation(
        seen=2,
        held_out=1,
        two_objects=1,
        image_to_video=2,
        video_to_audio=1,
        prompts=("a red square",),
        unspecified=0,
        red_team=0,
        sampler={"steps": 2},
    )
    made = generate.run(**trained, config=config, context=context(store, "generate"))
    rows = store.get_table(made.tables["generated"], GeneratedClip)
    assert [row.split for row in rows] == [
        "seen", "seen", "held_out", "two_objects", "custom", *["validation"] * 3,
    ]  # fmt: skip
    assert [row.mode for row in rows] == ["t2v"] * 5 + ["i2v"] * 2 + ["v2a"]
    assert len({row.seed for row in rows}) == len(rows)
    for row in rows:
        decoded = decode(store.local_path(row.media, store.root))
        assert decoded.frames.shape == (row.frames, row.height, row.width, 3) == (9, 32, 32, 3)
        assert decoded.audio is not None
        assert decoded.audio.shape[1] / decoded.audio_rate == pytest.approx(row.seconds, abs=0.1)
        assert (row.first_frame is not None) == (row.mode == "i2v")
        assert (row.first_frame_rebuilt is not None) == (row.mode == "i2v")
    frames, _ = load_frames(trained["latents"], store)
    shown = decode(store.local_path(rows[-1].media, store.root)).frames
    assert np.abs(shown.astype(int) - frames[0].permute(1, 2, 3, 0).numpy()).mean() < 6


def test_generate_stage_when_nothing_is_asked_for_then_it_says_what_to_set(store, trained):
    config = generate.Generation(
        seen=0, held_out=0, two_objects=0, image_to_video=0, unspecified=0, red_team=0
    )
    with pytest.raises(UsageError, match="asks for no clip"):
        generate.run(**trained, config=config, context=context(store, "generate"))
