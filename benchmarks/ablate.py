"""Each choice of the model against its alternative: `RUN=latest python -m benchmarks.ablate [CHOICE ...]`.

The alternatives train on the latents of one run, for its steps and with its seed, with one choice changed
each; all else of the cascade is the run's. RUN names a finished run, by its id, "latest" or its folder;
without it one of PRESET is made. STEPS trains the base models for fewer steps, the run's own design among
them. All choices by default; each replaces its own rows of `benchmarks/results/ablate.json` once it is
measured. `QUICK=1` trains for a few steps, to show the wiring.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchmarks.model.conditioning import films_of
from benchmarks.model.following import ATTRIBUTES
from benchmarks.model.scoring import Job, jobs, row_of, score_films, summary
from benchmarks.model.trained import TrainedRun, obtain
from benchmarks.report import Row, number, publish, quick, seed
from veo_core.data.clips import decode_samples
from veo_core.data.latents import LatentLayout
from veo_core.errors import UsageError
from veo_core.models.text import Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.train import base as base_stage
from veo_core.train import upsampler as upsampler_stage
from veo_core.train.base import BaseTraining
from veo_core.train.upsampler import UpsamplerTraining

DEFAULT_SEED = 7_450_911
_QUICK_STEPS = 6
_PROMPTS = 96


@dataclass(frozen=True)
class Choice:
    """What is changed. Keys are those of the configurations.

    Attributes:
        name: the alternative, in words.
        model: of the transformer.
        training: of the stage `train_base`.
        upsampler: of the stage `train_upsampler`.
        sampler, cascade: of drawing.
    """

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    upsampler: dict[str, Any] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=dict)
    cascade: dict[str, Any] = field(default_factory=dict)


AS_IT_IS = Choice("as it is")
CHOICES = {
    "clock": Choice("picture and sound without a common clock", model={"clock": "none"}),
    "coordinates": Choice("relative positions alone", model={"coordinates": False}),
    "text": Choice("text by tokens alone, none in the modulation", model={"pooled_text": False}),
    "levels": Choice("one noise level for both", training={"noise": {"shared": 1.0}}),
    "motion": Choice(
        "a loss that counts alike what moves and what does not", training={"loss": {"motion": 0.0}}
    ),
    "guidance": Choice("no guidance", sampler={"video_guidance": 1.0, "audio_guidance": 1.0}),
    "every": Choice("guidance measured at every step", sampler={"guidance_every": 1}),
    "solver": Choice("Euler's steps", sampler={"solver": "euler"}),
    "steps": Choice("16 steps, guidance at each", sampler={"steps": 16, "guidance_every": 1}),
    "refining": Choice("4 steps of the upsampler", cascade={"steps": 4}),
    "augmentation": Choice(
        "upsampler on a clean condition",
        upsampler={"noise": {"condition": 0.0}},
        cascade={"condition": 0.0},
    ),
}
FIGURES = {
    **{f"following_{name}": f"held out: {name}" for name in ATTRIBUTES},
    "following_all": "held out: all together",
    "sync_share_50ms": "contacts that sound within 50 ms",
    "sync_share_100ms": "contacts that sound within 100 ms",
    "false_onsets": "false onsets",
    "identity": "frames that show the usual objects",
    "flicker": "flicker",
}


class AblatedTraining(BaseTraining):
    """The stage's configuration, with values of the transformer's own."""

    model: dict[str, Any] = Field(default_factory=dict)

    def model_config_for(
        self, layout: LatentLayout, vocabulary: Vocabulary, others: Sequence[LatentLayout] = ()
    ) -> JointTransformer.Config:
        config = super().model_config_for(layout, vocabulary, others)
        return JointTransformer.Config.model_validate({**config.model_dump(), **self.model})


@dataclass(frozen=True)
class Ablation:
    """What all alternatives share: the run, the prompts, and true pictures that want sound.

    Attributes:
        steps: of each base model; None for the run's.
        seed: of what is drawn.
        asked: prompts of held-out combinations.
        captions, video: of validation clips; pictures uint8 [n, t, h, w, 3].
        bases: the base models so far, by the digest of their configuration.
    """

    run: TrainedRun
    steps: int | None
    seed: int
    asked: Sequence[Job]
    captions: Sequence[Job]
    video: npt.NDArray[np.uint8]
    bases: dict[str, Manifest]

    def figures(self, choice: Choice) -> dict[str, Row]:
        """Train what the choice changes, draw, and let the detectors score; figures by their names."""
        changed = {"base": self._base(choice)}
        if choice.upsampler:
            changed["upsampler"] = self._upsampler(choice)
        generator = self.run.generator(changed)
        drawing = self.run.generation()
        drawing = drawing.model_copy(
            update={
                "sampler": drawing.sampler.model_copy(update=choice.sampler),
                "cascade": drawing.cascade.model_copy(update=choice.cascade),
            }
        )
        fps, store = generator.clip.fps, self.run.store
        films_of(generator, drawing, self.asked[: drawing.batch], self.seed)  # the first batch is slower
        start = time.perf_counter()
        films = films_of(generator, drawing, self.asked, self.seed)
        rate = len(films) / (time.perf_counter() - start)
        drawn = summary(score_films(films, self.asked, store, fps=fps), self.seed)
        found = {
            words: drawn.find(name, "held_out" if name.startswith("following") else "all")
            for name, words in FIGURES.items()
        }
        films = films_of(generator, drawing, self.captions, self.seed, video=self.video)
        sounded = summary(score_films(films, self.captions, store, fps=fps), self.seed)
        name = "video to audio: contacts that sound within 100 ms"
        found[name] = sounded.find("sync_share_100ms", "all")
        measured = {row.metric: row for words, figure in found.items() for row in row_of(words, figure)}
        return measured | {"speed of drawing": Row("speed of drawing", rate, "clips/s")}

    def _base(self, choice: Choice) -> Manifest:
        """The base model of a choice; alternatives that do not change it share one."""
        config = training(self.run, choice, self.steps)
        if config.digest not in self.bases:
            self.bases[config.digest] = base_stage.run(
                latents=self.run.manifest("encode-latents"),
                config=config,
                context=self._context(config.digest),
            )
        return self.bases[config.digest]

    def _upsampler(self, choice: Choice) -> Manifest:
        values = merged(self.run.config("train_upsampler"), choice.upsampler)
        return upsampler_stage.run(
            latents=self.run.manifest("encode-latents"),
            video_vae=self.run.manifest("train-video-vae"),
            config=UpsamplerTraining.parse(values, where="train_upsampler"),
            context=self._context("upsampler"),
        )

    def _context(self, key: str) -> Context:
        trained = int(self.run.record.parameters["seed"])
        return Context(stage="ablate", store=self.run.store, seed=trained, key=key, workers=1)


def training(run: TrainedRun, choice: Choice, steps: int | None = None) -> AblatedTraining:
    """How a base model is trained with a choice, for the run's steps if left out."""
    values = merged(run.config("train_base"), {**choice.training, **({"steps": steps} if steps else {})})
    return AblatedTraining.parse({**values, "model": choice.model}, where="train_base")


def rows(choice: Choice, figures: dict[str, Row], reference: dict[str, Row]) -> Iterator[Row]:
    """The figures of an alternative; `baseline` is the model as it is."""
    for words, figure in figures.items():
        before = reference.get(words)
        yield replace(figure, metric=f"{choice.name}: {words}", baseline=before.value if before else None)


def prepare(run: TrainedRun, steps: int | None, used_seed: int, prompts: int) -> Ablation:
    """Prompts, validation clips with their captions, and the run's own base model."""
    asked = jobs({"held_out": prompts}, used_seed)
    samples = run.samples()["validation"][:prompts]
    clip = run.generator().clip
    video = np.ascontiguousarray(decode_samples(samples, clip).video.transpose(0, 2, 3, 4, 1))
    captions = [Job("seen", sample.caption) for sample in samples]
    bases = {training(run, AS_IT_IS).digest: run.manifest("train-base")}
    return Ablation(run, steps, used_seed, asked, captions, video, bases)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, sections such as `noise` key by key."""
    values = dict(below)
    for key, value in above.items():
        old = values.get(key)
        values[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return values


def main() -> None:
    chosen = sys.argv[1:] or list(CHOICES)
    unknown = [name for name in chosen if name not in CHOICES]
    if unknown:
        sys.exit(f"error: no choice {unknown[0]!r}; known: {', '.join(CHOICES)}")
    used = seed(DEFAULT_SEED)
    steps = number("STEPS") or (_QUICK_STEPS if quick() else None)
    with tempfile.TemporaryDirectory(prefix="veo-bench-ablate-") as folder:
        try:
            run = obtain(Path(folder), seed=used, quick=quick())
            ablation = prepare(run, steps, used, 8 if quick() else _PROMPTS)
            reference = ablation.figures(AS_IT_IS)
            publish("ablate", list(rows(AS_IT_IS, reference, {})), used_seed=used, section="reference")
            for name in chosen:
                found = rows(CHOICES[name], ablation.figures(CHOICES[name]), reference)
                publish("ablate", list(found), used_seed=used, section=name)
        except UsageError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
