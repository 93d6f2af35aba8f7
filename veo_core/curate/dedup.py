"""Dedup: keep the best copy of each clip, by its packets, its hashes, its embedding, then by what it shows.

A clip is compared with kept clips only, best first: a chain of look-alikes never swallows a clip that
does not resemble the one that is kept. A judge is asked only where the measurements leave a doubt.
"""

from collections import Counter
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.curate.dedup_embeddings import EmbeddingsConfig, embedding_file
from veo_core.curate.dedup_files import signature_file
from veo_core.curate.dedup_index import Index
from veo_core.curate.dedup_judging import PROMPT, Judged, ask_same_scene
from veo_core.curate.dedup_partitions import Int64, merge
from veo_core.curate.dedup_search import Pairs, Search, SearchConfig
from veo_core.curate.note import VIEWS
from veo_core.curate.skipped import keep_all
from veo_core.errors import UsageError
from veo_core.judges.config import JudgeConfig
from veo_core.records.clip import Clip, ClipSignature, NearPair
from veo_core.records.manifest import Manifest
from veo_core.records.similarity import BINS, SimilarityReport
from veo_core.stage import Context, stage_main


class DedupConfig(SearchConfig):
    """When two clips count as copies, how they are found, and when a judge is asked."""

    enabled: bool = Field(default=True, description="off: every clip is kept")
    embeddings: EmbeddingsConfig = Field(
        default_factory=EmbeddingsConfig, description="what candidates are found by"
    )
    grey_motion: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="least likeness of motion of pairs that the judge is asked about",
    )
    grey_colour: float = Field(
        default=2.0, ge=0, description="largest difference of colour of pairs that the judge is asked about"
    )
    max_judge_calls: int = Field(default=200, ge=0, description="pairs that the judge is asked about at most")
    prompt: str = Field(default=PROMPT, description="the text of each request")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model, patience and budget")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.grey_motion > self.min_motion or self.grey_colour < self.max_colour:
            raise ValueError(
                "the grey band must hold the limits of copies: lower grey_motion or raise grey_colour"
            )
        return self


def run(*, clips: Manifest, config: DedupConfig, context: Context) -> Manifest:
    """The best copy of each clip."""
    table = ClipTable(clips, context.store)
    if not config.enabled:
        return keep_all(table, config=config, context=context)
    if "signatures" not in clips.tables:
        raise UsageError(
            f"the manifest of stage {clips.stage!r} holds no table of signatures; prepare makes it"
        )
    store = context.store
    index = Index.of(table)
    signatures = store.stream_table(clips.tables["signatures"], ClipSignature)
    pictures, seconds = signature_file(store, signatures, index.ids)
    vectors = embedding_file(config.embeddings, table, index.ids, store=store, label=context.stage)
    found = Found(Search(index, pictures, seconds, vectors, config, context).pairs(), config)
    asked = found.doubtful(index, limit=config.max_judge_calls)
    judged = ask_same_scene(
        [(int(found.pairs.first[p]), int(found.pairs.second[p])) for p in asked],
        table,
        index.ids,
        prompt=config.prompt,
        judge=config.judge,
        store=store,
        label=context.stage,
    )
    verdicts = dict(zip(asked, judged, strict=True))
    found.copies[[place for place, verdict in verdicts.items() if verdict.same]] = True
    partner = found.merged(index)
    return _publish(table, index, found, verdicts, partner, config, context)


class Found:
    """The pairs that were found alike, which of them are copies, and which are in doubt.

    Attributes:
        pairs: the pairs.
        copies: which of them count as copies [e].
        grey: which of them are neither copies nor clearly apart [e].
    """

    def __init__(self, pairs: Pairs, config: DedupConfig) -> None:
        self.pairs = pairs
        self.copies = (pairs.motion >= config.min_motion) & (pairs.colour <= config.max_colour)
        near = (pairs.motion >= config.grey_motion) & (pairs.colour <= config.grey_colour)
        self.grey = near & ~self.copies

    def merged(self, index: Index) -> Int64:
        """For each clip the kept one whose copy it is, -1 where it is kept [n]."""
        pairs, copies = self.pairs, self.copies
        partner = merge(index.rank, pairs.first[copies], pairs.second[copies], pairs.motion[copies])
        twin = index.twin
        follows = twin != np.arange(len(index))
        partner[follows] = np.where(partner[twin] >= 0, partner[twin], twin)[follows]
        return partner

    def doubtful(self, index: Index, *, limit: int) -> list[int]:
        """Places of the pairs of kept clips that are in doubt, the most alike first."""
        partner = self.merged(index)
        pairs = self.pairs
        places = np.flatnonzero(self.grey & (partner[pairs.first] < 0) & (partner[pairs.second] < 0))
        order = np.lexsort((pairs.second[places], pairs.first[places], -pairs.motion[places]))
        return [int(place) for place in places[order][:limit]]


def _publish(
    table: ClipTable,
    index: Index,
    found: Found,
    verdicts: dict[int, Judged],
    partner: Int64,
    config: DedupConfig,
    context: Context,
) -> Manifest:
    pairs = found.pairs
    copies = np.flatnonzero(found.copies).tolist()
    place = {(int(pairs.first[number]), int(pairs.second[number])): number for number in copies}
    layers: Counter[str] = Counter(packets=0, hash=0, alignment=0, judge=0)
    with (
        ClipWriter(table, config=config, context=context) as out,
        context.store.write_table(NearPair) as near,
    ):
        rows_near: list[NearPair] = []
        for row, clip in enumerate(table):
            kept = int(partner[row])
            if kept < 0:
                out.keep(clip)
                continue
            shown = int(index.twin[row])
            if kept == shown:
                layers["packets"] += 1
                _drop_exact(out, clip, index.ids[kept])
                rows_near.append(_near(index, row, kept, 1.0))
                continue
            number = place[min(shown, kept), max(shown, kept)]
            verdict = verdicts.get(number)
            layer = "judge" if verdict is not None else "hash" if pairs.hashed[number] else "alignment"
            layers[layer] += 1
            _drop_near(out, clip, index.ids[kept], pairs, number, layer, verdict, config)
            rows_near.append(_near(index, row, kept, float(pairs.motion[number])))
        for number in np.flatnonzero(found.grey & ~found.copies).tolist():
            first, second = int(pairs.first[number]), int(pairs.second[number])
            if partner[first] < 0 and partner[second] < 0:
                rows_near.append(_near(index, first, second, float(pairs.motion[number])))
        for row_near in sorted(rows_near, key=lambda near: (near.first, near.second)):
            near.add(row_near)
    report = SimilarityReport(
        motion=_histogram(pairs.motion),
        cosine=_histogram(pairs.cosine),
        thresholds={
            name: getattr(config, name)
            for name in (
                "min_cosine",
                "min_motion",
                "max_colour",
                "grey_motion",
                "grey_colour",
                "max_hash_distance",
            )
        },
        layers=dict(layers),
        pairs={
            "candidates": len(pairs),
            "copies": int(found.copies.sum()),
            "grey": int(found.grey.sum()),
            "judged": len(verdicts),
        },
    )
    return out.manifest(
        tables={"near_pairs": near.ref},
        files={"similarity.json": context.store.put_bytes(report.to_bytes(), ".json")},
        metrics={"judge_calls": float(len(verdicts)), "candidate_pairs": float(len(pairs))},
    )


def _drop_exact(out: ClipWriter, clip: Clip, kept: str) -> None:
    out.drop(
        clip,
        "exact_duplicate",
        value=1.0,
        evidence=f"copy of {kept} by its packets",
        partner=kept,
        scores={"packets": 1.0, "motion": 1.0},
    )


def _drop_near(
    out: ClipWriter,
    clip: Clip,
    kept: str,
    pairs: Pairs,
    number: int,
    layer: str,
    verdict: Judged | None,
    config: DedupConfig,
) -> None:
    reason = f"; the judge: {verdict.reason}" if verdict is not None else ""
    out.drop(
        clip,
        "near_duplicate",
        value=float(pairs.motion[number]),
        threshold=config.grey_motion if verdict is not None else config.min_motion,
        evidence=f"copy of {kept} by {layer}; colours differ by {pairs.colour[number]:.2f} levels{reason}",
        partner=kept,
        scores={
            "embedding": float(pairs.cosine[number]),
            "motion": float(pairs.motion[number]),
            "colour": float(pairs.colour[number]),
            "hash_distance": float(pairs.hash_distance[number]),
        },
        judge=config.judge.model if verdict is not None else "",
        judge_version=verdict.version if verdict is not None else "",
    )


def _near(index: Index, one: int, other: int, score: float) -> NearPair:
    first, second = sorted((one, other), key=lambda row: index.ids[row])
    return NearPair(
        first=index.ids[first],
        second=index.ids[second],
        first_source=index.sources[first],
        second_source=index.sources[second],
        score=score,
    )


def _histogram(values: npt.NDArray[np.float64]) -> list[int]:
    counts, _ = np.histogram(np.clip(values, 0.0, 1.0), bins=BINS, range=(0.0, 1.0))
    return [int(count) for count in counts]


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
