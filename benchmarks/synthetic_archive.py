"""A made-up archive of footage: its sources and clips, and what became of each.

Ids, names and decisions are the archive's own; film, key frames and words are those of a few clips of the
world, which all clips share.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from veo_core.records.clip import Annotation, Description, MediaFacts, NearPair
from veo_core.records.files import FileRef
from veo_core.records.ledger import Counts, Decision, Outcome, Verdict

Indices = npt.NDArray[np.int64]

CLIP_STAGES = ("describe", "dedup", "safety_filter", "quality_filter", "annotate", "package")
BUCKET = "64x64x17"
CLIPS_PER_SHARD = 256
JUDGED = ("describe", "safety_filter", "quality_filter", "annotate")
JUDGE = "world-detector-1"
_KEPT = -1
LICENCES = (
    ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    ("LicenseRef-contract-2024", ""),
)
AUTHORS = tuple(f"{first} {last}" for first in ("Ada", "Bilal", "Chen", "Dina", "Emeka") for last in
                 ("Aalto", "Brandt", "Castillo", "Dube", "Eriksen", "Farah", "Gupta", "Haddad"))  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """A way in which a share of a stage's items is lost; `low` to `high` is what was measured."""

    stage: str
    rule: str
    share: float
    low: float = 0.0
    high: float = 0.0
    threshold: str = ""
    verdict: Verdict = "dropped"
    evidence: str = ""
    scores: tuple[str, ...] = ()
    """Names of further figures, which get the same value."""


CLIP_LOSSES = (
    Loss("dedup", "near_duplicate", 0.043, 0.92, 1.0, "0.92", scores=("embedding", "motion")),
    Loss("dedup", "exact_duplicate", 0.0065, 1.0, 1.0, scores=("packets", "motion")),
    Loss("safety_filter", "unsafe:hazard", 0.006, 0.5, 1.0, "0.5", scores=("hazard",),
         evidence="picture 0: The pictures show a hazard sign."),
    Loss("safety_filter", "no_answer", 0.0004, verdict="quarantined", evidence="no usable answer"),
    Loss("quality_filter", "blurred", 0.0075, 0.1, 0.58, "0.59"),
    Loss("quality_filter", "silent", 0.0075, -120, -56, "-55"),
    Loss("quality_filter", "static", 0.0068, 0.0, 0.039, "0.04"),
    Loss("quality_filter", "burnt_in_text", 0.0061, 0.021, 0.3, "0.02"),
    Loss("quality_filter", "bright", 0.0054, 226, 250, "225"),
    Loss("quality_filter", "out_of_sync", 0.0047, 0.121, 0.5, "0.12"),
    Loss("quality_filter", "clipped_sound", 0.004, 0.0021, 0.08, "0.002"),
    Loss("quality_filter", "dark", 0.0034, 1, 11.9, "12"),
    Loss("annotate", "names_a_person", 0.0003, verdict="quarantined", evidence="the caption names a person"),
    Loss("package", "cropped_too_much", 0.002, 0.11, 0.4, "0.1"),
)  # fmt: skip
SOURCE_LOSSES = (
    Loss("collect", "rights", 0.013, threshold="allowed"),
    Loss("prepare", "undecodable", 0.0065, verdict="failed",
         evidence="InvalidDataError: Invalid data found when processing input"),
    Loss("prepare", "limit", 0.003, evidence="8192x8192 pixels are too many"),
)  # fmt: skip
SHOT_LOSSES = (
    Loss("prepare", "too_short", 0.0085, 0.2, 1.9, "2", evidence="shot 9 from 1.000 s on"),
    Loss("prepare", "too_long", 0.004, 6.1, 9, "6", evidence="shot 9 from 1.000 s on"),
)


@dataclass(frozen=True)
class Film:
    """A stored clip of the world, and what is said of it."""

    media: FileRef
    key_frames: list[FileRef]
    facts: MediaFacts
    description: Description
    annotation: Annotation
    frame_hashes: list[str]
    caption: str


@dataclass
class Archive:
    """A made-up archive of sources, each cut into one to three clips, and what became of them.

    Args:
        films: what is seen and heard, in turn.
        clips: how many clips are prepared.
        seed: of everything that is random.
    """

    films: Sequence[Film]
    clips: int
    seed: int

    def __post_init__(self) -> None:
        self.lost_items: dict[str, list[dict[str, Any]]] = {}
        rng = np.random.default_rng(self.seed)
        shots = rng.integers(1, 4, self.clips)
        owners = np.repeat(np.arange(self.clips), shots)[: self.clips]
        prepared = int(owners[-1]) + 1
        lost = [(loss, max(1, round(loss.share * prepared))) for loss in SOURCE_LOSSES]
        total = prepared + sum(count for _, count in lost)
        self.files = [sha256_of(f"footage {self.seed} {number}") for number in range(total)]
        self.names = [f"archive/{number // 1000:03d}/film-{number:06d}.mp4" for number in range(total)]
        ids = [sha256_of(f"{name}\n{file}") for name, file in zip(self.names, self.files, strict=True)]
        self.source_ids = np.array(ids)
        self.licence = rng.choice(len(LICENCES), total, p=(0.5, 0.3, 0.15, 0.05))
        self.author = rng.integers(0, len(AUTHORS), total)
        self._lost_sources(lost, prepared)
        shot = np.concatenate([np.arange(count) for count in shots])[: self.clips]
        pairs = zip(owners.tolist(), shot.tolist(), strict=True)
        clip_ids = np.array([sha256_of(f"{ids[owner]}/{shot}") for owner, shot in pairs])
        order = np.argsort(clip_ids)
        self.clip_ids = clip_ids[order]
        self.owner, self.shot = owners[order], shot[order]
        self.film = rng.integers(0, len(self.films), self.clips)
        self._lost_shots(rng)
        self._decide(rng)

    def _lost_sources(self, lost: list[tuple[Loss, int]], first: int) -> None:
        """The sources after the prepared ones, in groups of one fate each."""
        self.denied = np.zeros(len(self.source_ids), bool)
        for loss, count in lost:
            for number in range(first, first + count):
                source = self.source_ids[number]
                value, evidence = "", loss.evidence
                if loss.stage == "collect":
                    self.denied[number] = True
                    value, evidence = "denied", f"{self.names[number]}: the author forbids training"
                self._lose(loss, source, source, value=value, evidence=evidence)
            first += count

    def _lost_shots(self, rng: np.random.Generator) -> None:
        for loss in SHOT_LOSSES:
            for owner in rng.choice(self.owner, max(1, round(loss.share * self.clips))).tolist():
                source = self.source_ids[owner]
                item = sha256_of(f"{source}/{loss.rule}/{len(self.lost_items['prepare'])}")
                self._lose(loss, item, source, value=f"{rng.uniform(loss.low, loss.high):.6g}")

    def _lose(self, loss: Loss, item: str, source: str, *, value: str, evidence: str = "") -> None:
        decision = Decision(
            item=item, source=source, stage=loss.stage, verdict=loss.verdict, rule=loss.rule, value=value,
            threshold=loss.threshold, evidence=evidence or loss.evidence,
        )  # fmt: skip
        self.lost_items.setdefault(loss.stage, []).append(decision.model_dump())

    def _decide(self, rng: np.random.Generator) -> None:
        """Each clip's loss, an index into CLIP_LOSSES or _KEPT. Each kind comes at least once."""
        draw = rng.random(self.clips)
        ends = np.cumsum([loss.share for loss in CLIP_LOSSES])
        found = np.searchsorted(ends, draw)
        self.loss = np.where(found < len(CLIP_LOSSES), found, _KEPT)
        self.loss[: len(CLIP_LOSSES)] = np.arange(len(CLIP_LOSSES))
        self._stage_of_loss = np.array([CLIP_STAGES.index(loss.stage) for loss in CLIP_LOSSES])

    @cached_property
    def lost_at(self) -> Indices:
        """The stage, an index into CLIP_STAGES, at which each clip is lost; past the last for kept ones."""
        return np.where(self.loss == _KEPT, len(CLIP_STAGES), self._stage_of_loss[self.loss])

    def entering(self, stage: str) -> Indices:
        """Indices of the clips that a stage decides on."""
        return np.flatnonzero(self.lost_at >= CLIP_STAGES.index(stage))

    def leaving(self, stage: str) -> Indices:
        """Indices of the clips that a stage keeps."""
        return np.flatnonzero(self.lost_at > CLIP_STAGES.index(stage))

    @cached_property
    def validation(self) -> npt.NDArray[np.bool_]:
        """Which clips are held back, if they are packed: a source's clips stay together."""
        return np.equal(self.owner % 20, 0)

    def counts(self, stage: str) -> Counts:
        """How many items a stage received, and what became of them."""
        outcomes = self.outcomes(stage)
        by = Counter(dict.fromkeys(("kept", "dropped", "failed", "quarantined"), 0))
        for row in outcomes:
            by[row.verdict] += row.items
        taken = int((~self.denied).sum())
        received = {"collect": len(self.source_ids), "prepare": taken}.get(stage, by.total())
        return Counts(received=received, added=by.total() - received, **by)

    def outcomes(self, stage: str) -> list[Outcome]:
        """A stage's rows of the table `funnel`."""
        found: Counter[tuple[Verdict, str]] = Counter(
            (row["verdict"], row["rule"]) for row in self.lost_items.get(stage, [])
        )
        if stage in CLIP_STAGES:
            number = CLIP_STAGES.index(stage)
            for index in self.loss[self.lost_at == number].tolist():
                found[CLIP_LOSSES[index].verdict, CLIP_LOSSES[index].rule] += 1
            kept = len(self.leaving(stage))
        else:
            kept = self.clips if stage == "prepare" else int((~self.denied).sum())
        found["kept", ""] = kept
        rows = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))
        return [Outcome(stage=stage, verdict=v, rule=rule, items=n) for (v, rule), n in rows if n]

    def licences(self) -> list[tuple[str, int, int]]:
        """(licence, sources, clips) of the clips that are trained on."""
        rows = self.leaving("package")
        owners = self.owner[rows[~self.validation[rows]]]
        clips = Counter(self.licence[owners].tolist())
        sources = Counter(self.licence[np.unique(owners)].tolist())
        return [(LICENCES[kind][0], sources[kind], clips[kind]) for kind in sorted(clips)]

    def shard_of(self, rows: Indices) -> list[tuple[str, str]]:
        """(split, name of the shard) of packed clips, which fill shards in the order of their ids."""
        places, filled = [], Counter[str]()
        for held in self.validation[rows].tolist():
            split = "validation" if held else "train"
            places.append((split, f"{split}-{BUCKET}-{filled[split] // CLIPS_PER_SHARD:06d}.tar"))
            filled[split] += 1
        return places

    def shards(self) -> dict[tuple[str, str], int]:
        """How many clips each (split, shard) holds."""
        return dict(Counter(self.shard_of(self.leaving("package"))))

    def near_pairs(self) -> list[NearPair]:
        """Kept clips that look alike: one pair in a hundred clips."""
        kept = self.leaving("dedup")[::100].tolist()
        return [
            NearPair(
                first=self.clip_ids[first], second=self.clip_ids[second],
                first_source=self.source_ids[self.owner[first]],
                second_source=self.source_ids[self.owner[second]], score=0.87,
            )
            for first, second in pairwise(kept)
        ]  # fmt: skip


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
