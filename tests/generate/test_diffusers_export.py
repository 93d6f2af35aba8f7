"""The exported folder: diffusers loads it, and the same seed gives the same pixels and samples."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image
from tiny_model import CLIP, WORDS, files_of, store_model, tiny_models
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from veo_core.errors import UsageError
from veo_core.export.folder import export_model, load_folder
from veo_core.export.parts import VeoTransformer, VeoVideoCodec
from veo_core.export.pipeline import VeoPipeline
from veo_core.generate.finish import Finisher
from veo_core.generate.pipeline import Film, Generator
from veo_core.generate.request import Request
from veo_core.models.files import save_model
from veo_core.models.text import TextConfig, TextEncoder
from veo_core.models.transformer import JointTransformer
from veo_core.records.drawing import CascadeSampler, Drawing, SamplerConfig
from veo_core.storage import Store

PROMPTS = ["a red circle moving left", "a blue square"]
PARTS = ("video_codec", "audio_codec", "transformer", "upsampler")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    store = Store(str(tmp_path_factory.mktemp("store")))
    return Generator.load(files_of(store_model(store)), store)


@pytest.fixture(scope="module")
def folder(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "veo-tiny"
    export_model(generator, out)
    return out


@pytest.fixture(scope="module")
def pipe(folder: Path) -> VeoPipeline:
    return DiffusionPipeline.from_pretrained(folder)


def seeds(*values: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(value) for value in values]


def films(generator: Generator, **settings: object) -> list[Film]:
    sampler = SamplerConfig(steps=3, **settings)
    requests = [Request(prompt, seed=5 + n, sampler=sampler) for n, prompt in enumerate(PROMPTS)]
    return [film for _, film in sorted(generator.films(requests))]


def models_of(generator: Generator) -> tuple[Any, ...]:
    return generator.video_codec, generator.audio_codec, generator.base, generator.upsampler


def test_folder_has_diffusers_layout_with_safetensors_alone(folder):
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "VeoPipeline"
    for part in PARTS:
        assert index[part][0] == "veo_core.export.parts"
        assert (folder / part / "config.json").is_file()
        assert (folder / part / "diffusion_pytorch_model.safetensors").is_file()
    assert (folder / "scheduler" / "scheduler_config.json").is_file()
    words = json.loads((folder / "transformer" / "config.json").read_text())["settings"]["text"]["vocabulary"]
    assert "circle" in words["words"]
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".md", ".py"}


def test_loaded_pipeline_makes_the_same_pixels_and_samples(generator, pipe):
    assert isinstance(pipe, VeoPipeline)
    output = pipe(PROMPTS, num_inference_steps=3, generator=seeds(5, 6), output_type="np", watermark=False)
    for number, film in enumerate(films(generator)):
        assert np.array_equal((output.frames[number] * 255).round().astype(np.uint8), film.frames)
        assert np.array_equal(output.audio[number], film.audio)


def test_loaded_generator_makes_the_same_pixels_and_samples(generator, folder):
    for one, other in zip(films(generator), films(load_folder(folder)), strict=True):
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.audio, other.audio)


def test_pipeline_and_generator_that_are_loaded_draw_as_the_model_was_evaluated(generator, tmp_path):
    sampler = SamplerConfig(solver="unipc", steps=3, shift=2.0, video_guidance=1.5, guidance_every=2)
    drawing = Drawing(sampler=sampler, cascade=CascadeSampler(steps=1, condition=0.3))
    own = Generator(*models_of(generator), generator.runtime, drawing=drawing)
    export_model(own, tmp_path / "m")
    expected = own(PROMPTS, seed=5)
    loaded = load_folder(tmp_path / "m")
    assert loaded.drawing == drawing
    pipe = DiffusionPipeline.from_pretrained(tmp_path / "m")
    output = pipe(PROMPTS, generator=seeds(5, 6), output_type="np", watermark=False)
    for number, film in enumerate(expected):
        assert np.array_equal((output.frames[number] * 255).round().astype(np.uint8), film.frames)
        assert np.array_equal(output.audio[number], film.audio)
        assert not np.array_equal(film.frames, generator(PROMPTS, seed=5)[number].frames)


def test_saved_pipeline_when_loaded_and_saved_again_then_its_files_are_equal(pipe, folder, tmp_path):
    pipe.save_pretrained(tmp_path)
    for part in PARTS:
        name = f"{part}/diffusion_pytorch_model.safetensors"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.thorough
def test_diffusers_loads_the_folder_in_a_new_process_by_its_own_pipeline_file(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path))
    code = (
        "import sys; from diffusers import DiffusionPipeline\n"
        "options = dict(custom_pipeline='pipeline', trust_remote_code=True)\n"
        "pipe = DiffusionPipeline.from_pretrained(sys.argv[1], **options)\n"
        "output = pipe('a red circle', num_inference_steps=1)\n"
        "print(len(output.frames[0]), output.frames[0][0].size, output.audio.shape)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == f"9 (32, 32) (1, {CLIP.samples})"


def test_pipeline_marks_its_clips_unless_told_otherwise(generator, pipe):
    given = {"num_inference_steps": 1, "output_type": "np"}
    marked = pipe(PROMPTS[0], generator=seeds(5), **given)
    plain = pipe(PROMPTS[0], generator=seeds(5), watermark=False, **given)
    film = Film((plain.frames[0] * 255).round().astype(np.uint8), plain.audio[0], CLIP.audio_rate)
    expected = Finisher(generator.identity, manifest=False).marked(film, Request(PROMPTS[0], seed=5))
    assert np.array_equal((marked.frames[0] * 255).round().astype(np.uint8), expected.frames)
    assert np.array_equal(marked.audio[0], expected.audio)
    assert not np.array_equal(marked.frames, plain.frames)


def test_output_types_hold_the_same_clip(pipe):
    outputs = {
        kind: pipe(PROMPTS[0], num_inference_steps=1, generator=seeds(0), output_type=kind, watermark=False)
        for kind in ("np", "pil", "pt")
    }
    frames = outputs["np"].frames
    assert frames.shape == (1, 9, 32, 32, 3)
    assert outputs["pt"].frames.shape == (1, 9, 3, 32, 32)
    assert np.allclose(outputs["pt"].frames.permute(0, 1, 3, 4, 2).numpy(), frames)
    picture = outputs["pil"].frames[0][4]
    assert isinstance(picture, Image.Image)
    assert np.array_equal(np.asarray(picture), (frames[0, 4] * 255).round().astype(np.uint8))
    assert outputs["np"].audio.shape == tuple(outputs["pt"].audio.shape) == (1, CLIP.samples)
    as_tuple = pipe(
        PROMPTS[0],
        num_inference_steps=1,
        generator=seeds(0),
        output_type="np",
        return_dict=False,
        watermark=False,
    )
    assert np.array_equal(as_tuple[0], frames)


def test_image_of_any_size_is_the_first_picture_after_the_codec(pipe, generator):
    image = Image.new("RGB", (100, 50), (200, 40, 10))
    output = pipe(
        PROMPTS[0], image=image, num_inference_steps=1, generator=seeds(0), output_type="pil", watermark=False
    )
    plain = np.full((1, 32, 32, 3), (200, 40, 10), np.uint8)
    rebuilt = generator.rebuilt(plain)[0]
    assert np.abs(np.asarray(output.frames[0][0]).astype(int) - rebuilt).max() <= 2


def test_video_is_kept_and_its_sound_is_made(pipe):
    video = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    output = pipe(
        PROMPTS[0], video=video, num_inference_steps=1, generator=seeds(0), output_type="np", watermark=False
    )
    assert np.array_equal((output.frames[0] * 255).round().astype(np.uint8), video)


def test_scheduler_chooses_the_solver(generator, pipe):
    other = VeoPipeline.from_pipe(pipe)
    other.scheduler = UniPCMultistepScheduler(use_flow_sigmas=True, flow_shift=3.0)
    made = other(PROMPTS, num_inference_steps=3, generator=seeds(5, 6), output_type="np", watermark=False)
    expected = films(generator, solver="unipc", shift=3.0)
    assert np.array_equal((made.frames[1] * 255).round().astype(np.uint8), expected[1].frames)
    other.scheduler = HeunDiscreteScheduler()
    with pytest.raises(UsageError, match="HeunDiscreteScheduler: use one of"):
        other(PROMPTS, num_inference_steps=1)


@pytest.mark.parametrize(
    ("solver", "scheduler"),
    [("euler", DDIMScheduler), ("unipc", UniPCMultistepScheduler), ("ddpm", DDPMScheduler)],
)
def test_model_of_ddpm_is_exported_with_the_scheduler_that_it_is_drawn_with(tmp_path, solver, scheduler):
    store = Store(str(tmp_path / "store"))
    plain = tiny_models()["base"].config
    objective = plain.objective.model_copy(update={"prediction": "v"})
    base = JointTransformer(plain.model_copy(update={"objective": objective}))
    loaded = Generator.load(files_of({**store_model(store), "base": save_model(base, store)}), store)
    drawing = Drawing(sampler=SamplerConfig(solver=solver, steps=3))
    ddpm = Generator(*models_of(loaded), loaded.runtime, drawing=drawing)
    export_model(ddpm, tmp_path / "m")
    pipe = DiffusionPipeline.from_pretrained(tmp_path / "m")
    assert isinstance(pipe.scheduler, scheduler)
    output = pipe(PROMPTS[0], generator=seeds(5), output_type="np", watermark=False)
    (film,) = ddpm(PROMPTS[:1], seed=5)
    assert np.array_equal((output.frames[0] * 255).round().astype(np.uint8), film.frames)
    assert np.array_equal(output.audio[0], film.audio)


def test_frozen_text_encoder_travels_with_the_model(generator, tmp_path):
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{w}", -2.0) for w in WORDS.split())]
    T5Tokenizer(vocab=words, extra_ids=0).save_pretrained(tmp_path / "t5")
    sizes = {"vocab_size": 32, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    T5EncoderModel(T5Config(**sizes)).save_pretrained(tmp_path / "t5")
    text = TextEncoder.Config(
        length=12, frozen=TextConfig(kind="t5", path=str(tmp_path / "t5"), length=12), feature_width=16
    )
    models = tiny_models(text=text)
    parts = (models["video_vae"], generator.audio_codec, models["base"].eval(), models["upsampler"])
    reading = Generator(*parts, generator.runtime)
    before = films(reading)
    export_model(reading, tmp_path / "exported")
    shutil.rmtree(tmp_path / "t5")
    loaded = load_folder(tmp_path / "exported")
    for one, other in zip(before, films(loaded), strict=True):
        assert np.array_equal(one.frames, other.frames)
    pipe = DiffusionPipeline.from_pretrained(tmp_path / "exported")
    output = pipe(PROMPTS, num_inference_steps=3, generator=seeds(5, 6), output_type="np", watermark=False)
    assert np.array_equal((output.frames[1] * 255).round().astype(np.uint8), before[1].frames)
    with pytest.raises(UsageError, match="the limit is 12"):
        pipe("red " * 13)


def test_float32_is_a_choice_that_loading_keeps(folder, tmp_path):
    exact = VeoPipeline.from_pretrained(folder, bfloat16=False)
    assert not exact.cascade().runtime.config.bfloat16
    exact.save_pretrained(tmp_path)
    assert not VeoPipeline.from_pretrained(tmp_path).config.bfloat16


def test_prompt_that_is_too_long_and_generators_of_another_number_are_refused(pipe):
    with pytest.raises(UsageError, match="the limit is 12"):
        pipe("red " * 13, num_inference_steps=1)
    with pytest.raises(UsageError, match="1 generators for 2 prompts"):
        pipe(PROMPTS, generator=seeds(1))


def test_missing_weight_file_is_named(generator, tmp_path):
    export_model(generator, tmp_path / "m")
    (tmp_path / "m" / "upsampler" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"diffusion_pytorch_model\.safetensors") as caught:
        load_folder(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_never_read(generator, tmp_path):
    export_model(generator, tmp_path / "m")
    weights = tmp_path / "m" / "upsampler" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UsageError, match="diffusion_pytorch_model"):
        load_folder(tmp_path / "m")


@pytest.mark.parametrize(("width", "depth"), [(16, 1), (8, 2)])
def test_weights_of_another_configuration_are_refused(generator, tmp_path, width, depth):
    VeoVideoCodec.of(generator.video_codec).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"] |= {"width": width, "depth": depth}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="the weights belong to another configuration"):
        VeoVideoCodec.from_pretrained(tmp_path)


def test_settings_that_no_model_has_are_refused(generator, tmp_path):
    VeoTransformer.of(generator.base).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"]["widht"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="did you mean 'width'"):
        VeoTransformer.from_pretrained(tmp_path)


def test_folder_that_exists_or_holds_no_model_is_refused(generator, folder, tmp_path):
    with pytest.raises(UsageError, match="it exists already"):
        export_model(generator, folder)
    with pytest.raises(UsageError, match=r"holds no model_index\.json"):
        load_folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        export_model(generator, tmp_path / "file" / "m")
