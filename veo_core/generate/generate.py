"""Generate clips for a suite of prompts with a trained model."""

from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.data.latents import load_frames
from veo_core.errors import UsageError
from veo_core.generate.finish import Finisher
from veo_core.generate.people_prompts import people_prompts
from veo_core.generate.pipeline import Film, Generator, model_files
from veo_core.generate.request import Request
from veo_core.generate.suites import PromptSuite, SuiteFile, read_suite
from veo_core.judges.config import JudgeConfig
from veo_core.moderation.filter import FilterPolicy, rule_on_prompts
from veo_core.moderation.red_team import attack_suite
from veo_core.progress import track
from veo_core.records.drawing import Drawing
from veo_core.records.generated import GeneratedClip, PromptSplit, RefusedPrompt
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_from_bytes, table_to_bytes
from veo_core.stage import Context, stage_main
from veo_core.storage import Store
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.world.grammar import Suite, open_prompts, prompt_suite


class Generation(Drawing):
    """Configuration of the stage."""

    seen: int = Field(default=16, ge=0, description="prompts whose combinations the training footage shows")
    held_out: int = Field(default=16, ge=0, description="prompts whose combinations it never shows")
    two_objects: int = Field(default=8, ge=0, description="prompts of two objects")
    image_to_video: int = Field(
        default=8, ge=0, description="clips that start from a validation clip's first picture"
    )
    video_to_audio: int = Field(
        default=0, ge=0, description="validation clips whose pictures are given and whose sound is made"
    )
    prompts: tuple[str, ...] = Field(default=(), description="further prompts")
    suite: SuiteFile | None = Field(
        default=None, description="a file of further prompts, by whose tags figures are given, too"
    )
    unspecified: int = Field(
        default=24, ge=0, description="the world's prompts without attributes, for the audit of bias"
    )
    unspecified_people: int = Field(
        default=0, ge=0, description="prompts of people who are not described, for the audit of bias"
    )
    red_team: int = Field(
        default=40, ge=0, description="attacks; clips are made of those that the filter lets through"
    )
    filter: FilterPolicy = Field(default_factory=FilterPolicy, description="what prompts are refused")
    filter_judge: JudgeConfig | None = Field(
        default=None, description="judge behind the filter's lexicon; null for the lexicon alone"
    )
    batch: int = Field(default=16, ge=1, description="clips at a time")
    runtime: RuntimeConfig = RuntimeConfig()
    watermark: bool = Field(default=True, description="whether picture and sound of every clip are marked")
    manifest: bool = Field(default=True, description="whether every clip gets a signed C2PA manifest")

    @property
    def drawing(self) -> Drawing:
        """How clips are drawn, without what they are."""
        return Drawing(**{name: getattr(self, name) for name in Drawing.model_fields})


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
    """Generate clips of every suite, shared by all processes; a clip's seed is `seed * 1,000,003` plus its
    number.

    Raises:
        UsageError: the configuration asks for no clip, a prompt that is no attack is too long, a model's
            file is missing or of another configuration, the suite is not the one that is stated, or the keys
            of watermark or certificate cannot be used.
    """
    store = context.store
    files = model_files(video_vae, audio_vae, base, upsampler)
    generator = Generator.load(files, store, config.runtime)
    suite = read_suite(config.suite.path, sha256=config.suite.sha256) if config.suite else None
    asked = [
        *_text_jobs(config, suite, context.seed),
        *_validation_jobs(config, latents, store),
        *_safety_jobs(config, context.seed),
    ]
    jobs, refused = _filtered(asked, config, store)
    jobs, unasked = _askable(jobs, generator)
    refused += unasked
    if not jobs:
        raise UsageError(
            f"generate: the configuration asks for no clip ({len(refused)} prompts are refused); "
            "set seen, held_out, prompts or suite"
        )
    requests = [
        replace(
            request,
            seed=context.seed * 1_000_003 + number,
            sampler=config.sampler_for(request.mode),
        )
        for number, (_, request) in enumerate(jobs)
    ]
    finisher = Finisher(generator.identity, watermark=config.watermark, manifest=config.manifest)
    runtime = generator.runtime
    met = runtime.meeting()
    mine = range(runtime.rank, len(requests), runtime.world)
    films = generator.films([requests[n] for n in mine], cascade=config.cascade, batch=config.batch)
    rows = {
        mine[number]: _row(film, requests[mine[number]], jobs[mine[number]][0], generator, finisher, store)
        for number, film in track(films, total=len(mine), label=context.stage, unit="clips")
    }
    if runtime.world > 1:
        rows = _of_all_processes(rows, met, runtime, context)
    clips = [rows[number] for number in range(len(requests))]
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=len(clips),
        tables={
            "generated": store.put_table(clips, GeneratedClip),
            "refused": store.put_table(refused, RefusedPrompt),
        },
        files={
            "model": store.put_bytes(files.to_bytes(), ".json"),
            "drawing": store.put_bytes(config.drawing.to_bytes(), ".json"),
            **({"suite": store.put_bytes(suite.to_bytes(), ".json")} if suite else {}),
        },
        metrics={"clips": float(len(clips)), "refused": float(len(refused))},
    )


def _of_all_processes(
    rows: dict[int, GeneratedClip], met: Callable[[], None], runtime: Runtime, context: Context
) -> dict[int, GeneratedClip]:
    """The clips of all processes by number, each of which made every `runtime.world`-th one.

    Raises:
        SystemExit: code 0 in every process but the first.
    """
    marks = [
        f"{context.stage}/{context.key}/{rank + 1}-of-{runtime.world}.parquet"
        for rank in range(runtime.world)
    ]
    own = [rows[number] for number in sorted(rows)]
    context.store.set_mark(marks[runtime.rank], table_to_bytes(own, GeneratedClip))
    met()
    if not runtime.first:
        raise SystemExit(0)
    found = {}
    for rank, mark in enumerate(marks):
        data = context.store.get_mark(mark)
        assert data is not None, mark
        for place, row in enumerate(table_from_bytes(data, GeneratedClip)):
            found[rank + place * runtime.world] = row
        context.store.remove_mark(mark)
    return found


def _text_jobs(config: Generation, suite: PromptSuite | None, seed: int) -> list[tuple[PromptSplit, Request]]:
    suites: dict[Suite, int] = {
        "seen": config.seen,
        "held_out": config.held_out,
        "two_objects": config.two_objects,
    }
    splits: dict[Suite, PromptSplit] = {"seen": "seen", "held_out": "held_out", "two_objects": "two_objects"}
    jobs: list[tuple[PromptSplit, Request]] = [
        (splits[suite], Request(prompt.text))
        for suite, count in suites.items()
        for prompt in prompt_suite(suite, count, seed)
    ]
    own = [*config.prompts, *(prompt.text for prompt in (suite.prompts if suite else ()))]
    return [*jobs, *(("custom", Request(prompt)) for prompt in own)]


def _validation_jobs(
    config: Generation, latents: Manifest, store: Store
) -> list[tuple[PromptSplit, Request]]:
    """Clips from the first pictures, or from all pictures, of validation clips and their captions."""
    if not (config.image_to_video or config.video_to_audio):
        return []
    frames, captions = load_frames(latents, store)
    pictures = frames.permute(0, 2, 3, 4, 1).contiguous().numpy()
    clips = list(zip(pictures, captions, strict=True))
    images = [Request(caption, image=video[0]) for video, caption in clips[: config.image_to_video]]
    videos = [Request(caption, video=video) for video, caption in clips[: config.video_to_audio]]
    return [("validation", request) for request in (*images, *videos)]


def _safety_jobs(config: Generation, seed: int) -> list[tuple[PromptSplit, Request]]:
    """What the safety evaluation looks at: prompts that leave attributes open, and attacks."""
    left_open = [*open_prompts(config.unspecified), *people_prompts(config.unspecified_people)]
    attacks = attack_suite(config.red_team, seed, config.filter.categories)
    return [
        *(("unspecified", Request(text)) for text in left_open),
        *(("red_team", Request(attack.prompt)) for attack in attacks),
    ]


def _filtered(
    jobs: list[tuple[PromptSplit, Request]], config: Generation, store: Store
) -> tuple[list[tuple[PromptSplit, Request]], list[RefusedPrompt]]:
    """The jobs whose prompts pass the filter, and the prompts of the others."""
    rulings = rule_on_prompts(
        [request.prompt for _, request in jobs], config.filter, config.filter_judge, store, "filter prompts"
    )
    refused = [
        RefusedPrompt(
            prompt=request.prompt,
            split=split,
            category=ruling.category,
            code=ruling.code,
            tier=ruling.tier,
            reason=ruling.reason,
        )
        for (split, request), ruling in zip(jobs, rulings, strict=True)
        if ruling.unsafe
    ]
    for row in refused:
        if row.split != "red_team":
            print(f"generate: refused as {row.category} (code {row.code}, {row.tier}): {row.prompt[:80]!r}")
    return [job for job, ruling in zip(jobs, rulings, strict=True) if not ruling.unsafe], refused


def _askable(
    jobs: list[tuple[PromptSplit, Request]], generator: Generator
) -> tuple[list[tuple[PromptSplit, Request]], list[RefusedPrompt]]:
    """The jobs without the attacks that are too long for the model: those have failed, and end nothing."""
    kept: list[tuple[PromptSplit, Request]] = []
    refused = []
    for split, request in jobs:
        try:
            generator.check(request)
        except UsageError as error:
            if split != "red_team":
                raise
            row = RefusedPrompt(
                prompt=request.prompt,
                split=split,
                category="too_long",
                code=0,
                tier="model",
                reason=str(error),
            )
            refused.append(row)
        else:
            kept.append((split, request))
    return kept, refused


def _row(
    film: Film,
    request: Request,
    split: PromptSplit,
    generator: Generator,
    finisher: Finisher,
    store: Store,
) -> GeneratedClip:
    fps = generator.clip.fps
    stored = finisher.put(film, request, store, fps=fps)
    media = store.put_bytes(stored.content, ".mp4")
    given = rebuilt = None
    if request.image is not None:
        given = store.put_bytes(_png(request.image), ".png")
        rebuilt = store.put_bytes(_png(generator.rebuilt(request.image[None])[0]), ".png")
    count, height, width, _ = film.frames.shape
    return GeneratedClip(
        clip_id=media.sha256,
        prompt=request.prompt,
        split=split,
        mode=request.mode,
        seed=request.seed,
        media=media,
        first_frame=given,
        first_frame_rebuilt=rebuilt,
        width=width,
        height=height,
        fps=fps,
        frames=count,
        seconds=(count - 1) / fps,
        audio_rate=film.audio_rate,
        mark=stored.clip.mark,
        manifest=stored.clip.manifest,
    )


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "rgb24", 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


if __name__ == "__main__":
    stage_main(run)
