"""The plan of a dataset: which bucket each kind of clip gets, or why none."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from veo_core.curate.buckets import Shape, choose, derive
from veo_core.records.clip import Clip
from veo_core.records.dataset import Bucket, DatasetSpec
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

FORGOTTEN = "forgotten"
"""Rule of the decisions on what `veo forget` removed."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Kind:
    """Everything about a clip that decides on its bucket.

    Attributes:
        flaw: the rule that keeps the clip out whatever its shape, or "".
    """

    shape: Shape
    fps: float
    audio_rate: int
    flaw: str

    @classmethod
    def of(cls, clip: Clip, *, require_sound: bool) -> "Kind":
        facts = clip.facts
        flaw = "no_caption" if clip.annotation is None else ""
        if not flaw and require_sound and facts.audio_seconds <= 0:
            flaw = "no_sound"
        return cls(Shape.of(facts), facts.fps, facts.audio_rate, flaw)


@dataclass(frozen=True)
class Placement:
    """A bucket, or the rule that denies it; `details` are further fields of the ledger's decision."""

    bucket: Bucket | None
    rule: str = ""
    details: dict[str, str] = field(default_factory=dict)


class Survey:
    """The kinds of all clips and the families of their sources: ten bytes a clip."""

    def __init__(self) -> None:
        self._numbers: dict[Kind, int] = {}
        self._kinds = array("H")
        self._nodes = array("q")

    def add(self, kind: Kind, node: int) -> None:
        """Note the next clip; `node` is its source's in the families."""
        self._kinds.append(self._numbers.setdefault(kind, len(self._numbers)))
        self._nodes.append(node)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[tuple[Kind, int]]:
        """Kind and node of each clip, in the order in which they were added."""
        kinds = list(self._numbers)
        for number, node in zip(self._kinds, self._nodes, strict=True):
            yield kinds[number], node

    def counts(self) -> Counter[Kind]:
        kinds = list(self._numbers)
        return Counter({kinds[number]: clips for number, clips in Counter(self._kinds).items()})


class Plan:
    """The placement of every kind of clip.

    Args:
        kinds: how many clips there are of each kind.
        buckets: the buckets to use; none: they are derived from the clips.
        side_multiple: what sides of derived buckets are multiples of.
        min_bucket_clips: fewer clips derive no bucket.
        max_buckets: most buckets that are derived.
        max_crop: largest share of a picture that may be cut.
    """

    def __init__(
        self,
        kinds: Counter[Kind],
        *,
        buckets: Sequence[Bucket],
        side_multiple: int,
        min_bucket_clips: int,
        max_buckets: int,
        max_crop: float,
    ) -> None:
        sound = Counter({kind: clips for kind, clips in kinds.items() if not kind.flaw})
        self.fps = _most_common(sound, lambda kind: kind.fps)
        self.audio_rate = int(_most_common(sound, lambda kind: kind.audio_rate))
        if not buckets:
            shapes: Counter[Shape] = Counter()
            for kind, clips in sound.items():
                if kind.fps == self.fps:
                    shapes[kind.shape] += clips
            buckets = derive(
                shapes, side_multiple=side_multiple, min_clips=min_bucket_clips, max_buckets=max_buckets
            )
        self._placements = {kind: self._place(kind, buckets, max_crop) for kind in kinds}

    def place(self, kind: Kind) -> Placement:
        return self._placements[kind]

    def _place(self, kind: Kind, buckets: Sequence[Bucket], max_crop: float) -> Placement:
        if kind.flaw:
            return Placement(None, kind.flaw)
        if kind.fps != self.fps:
            return Placement(None, "no_bucket:fps", {"value": f"{kind.fps:g}", "threshold": f"{self.fps:g}"})
        fit = choose(kind.shape, buckets, max_crop)
        if fit.bucket is not None and fit.misfit is None:
            return Placement(fit.bucket, details={"value": fit.bucket.name})
        details = {"value": str(kind.shape), "threshold": fit.bucket.name if fit.bucket else ""}
        if fit.misfit == "aspect":
            details["evidence"] = f"{fit.cut:.0%} of the picture would be cut, max_crop is {max_crop:.0%}"
        return Placement(None, f"no_bucket:{fit.misfit}", details)


def _most_common(kinds: Counter[Kind], value: Any) -> float:
    values: Counter[float] = Counter()
    for kind, clips in kinds.items():
        values[value(kind)] += clips
    return max(values.items(), key=lambda entry: (entry[1], entry[0]))[0] if values else 0.0


def plan_report(manifest: Manifest, spec: DatasetSpec, store: Store) -> dict[str, Any]:
    """The content of `plan.json`: buckets with their clips, and the clips without one by reason.

    The dataset's ledger says it of every single clip.
    """
    unused: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for decision in store.stream_table(manifest.tables["ledger"], Decision):
        if decision.verdict != "kept":
            counts[decision.rule] += 1
            examples = unused.setdefault(decision.rule, [])
            if len(examples) < _EXAMPLES and decision.rule != FORGOTTEN:
                examples.append(decision.item)
    return {
        "clips": manifest.rows + counts.total(),
        "fps": spec.fps,
        "audio_rate": spec.audio_rate,
        "buckets": [bucket.model_dump(mode="json") | {"name": bucket.name} for bucket in spec.buckets],
        "unused": [
            {"rule": rule, "clips": clips, "examples": unused[rule]}
            for rule, clips in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        ],
    }
