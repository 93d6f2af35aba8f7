"""Generate clips for a suite of prompts with a trained model."""

import io
import json

import av
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.data.latents import load_frames
from veo_core.diffusion.cascade import CascadeSampler
from veo_core.diffusion.sampler import SamplerConfig
from veo_core.errors import UsageError
from veo_core.generate.pipeline import Film, Generator, model_files
from veo_core.media.encode import encode
from veo_core.progress import track
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.records.generated import GeneratedClip, PromptSplit
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.storage import Store
from veo_core.train.runtime import RuntimeConfig
from veo_core.world.grammar import Suite, prompt_suite


class Generation(Record):
    """Configuration of the stage."""

    seen: int = Field(default=16, ge=0, description="prompts whose combinations the training footage shows")
    held_out: int = Field(default=16, ge=0, description="prompts whose combinations it never shows")
    two_objects: int = Field(default=8, ge=0, description="prompts of two objects")
    image_to_video: int = Field(
        default=8, ge=0, description="clips that start from a validation clip's frame"
    )
    prompts: tuple[str, ...] = Field(default=(), description="further prompts")
    batch: int = Field(default=16, ge=1, description="clips at a time")
    sampler: SamplerConfig = SamplerConfig()
    cascade: CascadeSampler = CascadeSampler()
    runtime: RuntimeConfig = RuntimeConfig()


def run(
    *,
    video_vae: Manifest,
    audio_vae: Manifest,
    latents: Manifest,
    base: Manifest,
    upsampler: Manifest,
    config: Generation,
    context: Context,
) -> Manifest:
    store = context.store
    files = model_files(video_vae, audio_vae, base, upsampler)
    generator = Generator.load(files, store, config.runtime)
    jobs = _text_jobs(config, context.seed)
    images, captions = _image_jobs(latents, config.image_to_video, store)
    if not jobs and not captions:
        raise UsageError("generate: the configuration asks for no clip; set seen, held_out or prompts")

    rows: list[GeneratedClip] = []
    starts = range(0, len(jobs), config.batch)
    for start in track(starts, total=len(starts), label=context.stage, unit="batches"):
        part = jobs[start : start + config.batch]
        seed = context.seed * 1_000_003 + start
        films = generator(
            [prompt for _, prompt in part],
            seed=seed,
            sampler=config.sampler,
            cascade=config.cascade,
            batch=config.batch,
        )
        for number, ((split, prompt), film) in enumerate(zip(part, films, strict=True)):
            rows.append(_row(film, prompt, split, seed + number, generator.clip.fps, store))
    if captions:
        seed = context.seed * 1_000_003 + len(jobs)
        films = generator(
            captions,
            seed=seed,
            first_frames=images,
            sampler=config.sampler,
            cascade=config.cascade,
            batch=config.batch,
        )
        for number, (film, prompt, image) in enumerate(zip(films, captions, images, strict=True)):
            given = store.put_bytes(_png(image), ".png")
            rows.append(_row(film, prompt, "validation", seed + number, generator.clip.fps, store, given))
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=len(rows),
        tables={"generated": store.put_table(rows, GeneratedClip)},
        files={"model": store.put_bytes(files.to_bytes(), ".json")},
        metrics={"clips": float(len(rows))},
    )


def _text_jobs(config: Generation, seed: int) -> list[tuple[PromptSplit, str]]:
    suites: dict[Suite, int] = {
        "seen": config.seen,
        "held_out": config.held_out,
        "two_objects": config.two_objects,
    }
    splits: dict[Suite, PromptSplit] = {"seen": "seen", "held_out": "held_out", "two_objects": "two_objects"}
    jobs: list[tuple[PromptSplit, str]] = [
        (splits[suite], prompt.text)
        for suite, count in suites.items()
        for prompt in prompt_suite(suite, count, seed)
    ]
    return [*jobs, *(("custom", prompt) for prompt in config.prompts)]


def _image_jobs(latents: Manifest, count: int, store: Store) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """First frames uint8 [n, h, w, 3] of validation clips, and their captions."""
    frames = load_frames(latents, store)[:count, :, 0].permute(0, 2, 3, 1).contiguous().numpy()
    captions = json.loads(store.get_bytes(latents.files["captions"]))["validation"]["captions"]
    return frames, captions[: len(frames)]


def _row(
    film: Film,
    prompt: str,
    split: PromptSplit,
    seed: int,
    fps: float,
    store: Store,
    first_frame: FileRef | None = None,
) -> GeneratedClip:
    buffer = io.BytesIO()
    encode(buffer, film.frames, fps=fps, audio=film.audio[None], audio_rate=film.audio_rate)
    media = store.put_bytes(buffer.getvalue(), ".mp4")
    count, height, width, _ = film.frames.shape
    return GeneratedClip(
        clip_id=media.sha256,
        prompt=prompt,
        split=split,
        mode="t2v" if first_frame is None else "i2v",
        seed=seed,
        media=media,
        first_frame=first_frame,
        width=width,
        height=height,
        fps=fps,
        frames=count,
        seconds=(count - 1) / fps,
        audio_rate=film.audio_rate,
    )


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "rgb24", 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


if __name__ == "__main__":
    stage_main(run)
