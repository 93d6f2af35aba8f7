"""A whole cascade as a folder in diffusers' layout."""

import json
import os
import shutil
import uuid
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.export.parts import VeoAudioCodec, VeoTransformer, VeoUpsampler, VeoVideoCodec, assembled
from veo_core.export.pipeline import VeoPipeline
from veo_core.export.schedulers import scheduler_of
from veo_core.generate.identity import ModelIdentity
from veo_core.generate.pipeline import Generator
from veo_core.models.frozen_text import FrozenTextEncoder
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.records.drawing import Drawing
from veo_core.train.runtime import RuntimeConfig

_INDEX = "model_index.json"
_PARTS = {
    "video_codec": VeoVideoCodec,
    "audio_codec": VeoAudioCodec,
    "transformer": VeoTransformer,
    "upsampler": VeoUpsampler,
}
_LOADER = '''"""Lets diffusers load this folder where the package veo-from-scratch is installed."""

from veo_core.export.pipeline import VeoPipeline

__all__ = ["VeoPipeline"]
'''
_CARD = """# {name}

Text, an image, a video or a sound to {seconds:g} s of {width}x{height} pictures with sound. Needs the package
veo-from-scratch.

```python
import torch
from diffusers import DiffusionPipeline

import veo_core.export.pipeline  # makes the class known to diffusers

pipe = DiffusionPipeline.from_pretrained("{name}")
output = pipe("a red circle moving left with a low tone", generator=torch.Generator().manual_seed(0))
output.frames  # a list of PIL pictures for each clip, {fps:g} a second
output.audio  # float32 [clips, samples], {rate} a second
```
"""


def pipeline_of(generator: Generator) -> VeoPipeline:
    """A pipeline with copies of a generator's models."""
    sound = generator.audio_codec.autoencoder
    frozen = generator.prompts.frozen
    return VeoPipeline(
        video_codec=VeoVideoCodec.of(generator.video_codec),
        audio_codec=VeoAudioCodec.of(sound.vae if isinstance(sound, MelAutoencoder) else sound),
        transformer=VeoTransformer.of(generator.base),
        upsampler=VeoUpsampler.of(generator.upsampler),
        scheduler=scheduler_of(generator.base.config.objective, generator.drawing.sampler),
        text_encoder=None if frozen is None else frozen.encoder,
        tokenizer=None if frozen is None else frozen.tokenizer,
        model_digest=generator.identity.digest,
        drawing=generator.drawing.model_dump(mode="json"),
    )


def export_model(generator: Generator, out: Path) -> None:
    """Write a model to a new folder; it appears whole or not at all.

    Raises:
        UsageError: the folder exists and is not empty, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: it exists already; name a new folder")
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    clip = generator.clip
    try:
        pipeline_of(generator).save_pretrained(part)
        (part / "pipeline.py").write_text(_LOADER)
        card = _CARD.format(
            name=out.name,
            seconds=clip.seconds,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            rate=clip.audio_rate,
        )
        (part / "README.md").write_text(card)
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_folder(folder: Path, runtime: RuntimeConfig | None = None) -> Generator:
    """The generator of a folder that `export_model` wrote.

    Raises:
        UsageError: it is no such folder, a file is missing or damaged, or weights belong to another
            configuration.
    """
    if not (folder / _INDEX).is_file():
        raise UsageError(f"{folder}: it holds no {_INDEX}; `veo export model` writes such folders")
    index = json.loads((folder / _INDEX).read_text())
    digest = str(index.get("model_digest") or "")
    drawing = Drawing.parse(index.get("drawing") or {}, where=f"{folder / _INDEX}: drawing")
    parts = {
        name: part.from_pretrained(folder / name, local_files_only=True, low_cpu_mem_usage=False)
        for name, part in _PARTS.items()
    }
    if (folder / "text_encoder").is_dir():
        settings = parts["transformer"].model.config.text.frozen
        opened = FrozenTextEncoder.open(settings.model_copy(update={"path": str(folder), "hub": False}))
        parts |= {"text_encoder": opened.encoder, "tokenizer": opened.tokenizer}
    identity = ModelIdentity(digest) if digest else None
    return assembled(**parts, runtime=runtime or RuntimeConfig(), identity=identity, drawing=drawing)
