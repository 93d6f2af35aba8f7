"""The documents of the explorer: what its pages are drawn from, each the answer to one path of `api`.

Texts are as they stand in records and files; who shows them shows them as text. Figures that are not known
are null. Media are named by the sha256 of the stored object, "" where there is none.
"""

from typing import Any, Literal

from pydantic import Field

from veo_core.evaluate.records import Promotion
from veo_core.lineage.trained import Training
from veo_core.lineage.why import Duplicate, Fate
from veo_core.records.base import Record
from veo_core.records.clip import Annotation, Clip, Source
from veo_core.records.dataset import FilterQuality
from veo_core.records.ledger import Verdict
from veo_core.records.run import Change, RunState, TaskRecord
from veo_core.records.similarity import SimilarityReport
from veo_core.safety.records import Check

Where = dict[str, Any]
"""Conditions by field, all of which hold: a list of values, {"min", "max"}, or words for `text`."""


class Headline(Record):
    """A figure to read first."""

    name: str
    title: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    unit: str = ""
    n: int | None = None
    note: str = Field(default="", description="what to say where there is no value")


class RunSummary(Record):
    """A run in the list of runs."""

    id: str = Field(description="names the run in paths, over all folders")
    name: str = Field(description="name of the run's folder, which is its run id")
    folder: str = Field(description="the folder of runs that it lies in")
    pipeline: str = ""
    target: str = Field(default="embedded", description="where it ran")
    state: RunState | Literal["DAMAGED"]
    state_words: str = Field(description="the state as a sentence's end, with what follows from it")
    created: float | None = Field(default=None, description="seconds since the epoch")
    finished: float | None = None
    parameters: dict[str, str] = Field(default_factory=dict, description="those that tell runs apart")
    tasks: dict[str, int] = Field(default_factory=dict, description="tasks by state")
    collected: int | None = Field(default=None, description="sources that came in")
    kept: int | None = Field(default=None, description="clips that the last stage of the curation kept")
    train_clips: int | None = None
    generated: int | None = None
    headlines: list[Headline] = Field(default_factory=list)
    model: str = Field(default="", description="NAME@VERSION that it registered")
    gate: Literal["open", "closed", ""] = Field(default="", description="the safety gate; empty before")
    git_sha: str = ""
    git_dirty: bool = False
    notes: list[str] = Field(default_factory=list, description="what is not known, and why")


class RunsDocument(Record):
    """/api/runs: the runs of all folders, newest first."""

    runs: list[RunSummary]
    notes: list[str] = Field(default_factory=list, description="folders that cannot be read")
    version: str = Field(description="of this product")
    live: bool = Field(description="whether a server answers: votes can be cast, other paths asked")


class Node(Record):
    """A task in the graph; places are on a grid whose positions are centred around 0."""

    index: int
    name: str
    label: str
    layer: int
    position: float


class Graph(Record):
    """The pipeline from top to bottom; links that longer paths imply are left out."""

    nodes: list[Node]
    links: list[tuple[int, int]] = Field(description="indices of tasks, from and to")
    layers: int
    width: int = Field(description="most nodes of a layer")


class Task(TaskRecord):
    """A task as recorded, and what can be read of its manifest."""

    index: int
    stage: str = Field(description="short name of the stage in its manifest; empty without one")
    problem: str = Field(default="", description="why its manifest cannot be read")
    counts: dict[str, int] = Field(default_factory=dict, description="of items, where it decides on items")
    metrics: dict[str, float] = Field(default_factory=dict)
    rows: int | None = None
    tables: dict[str, int] = Field(default_factory=dict, description="rows of its tables")
    log_bytes: int | None = Field(default=None, description="None where there is no log")


class Notice(Record):
    """Something that went wrong."""

    task: int | None = Field(default=None, description="index of the task")
    text: str
    log: str = Field(default="", description="the last lines of its log")


class GateSummary(Record):
    """The gate's decision in short."""

    approved: bool
    rules: int
    met: int
    closed_by: list[Check] = Field(description="rules that keep it closed")


class RunDocument(Record):
    """/api/runs/{run}: what ran, how it ended, and the figures to read first."""

    summary: RunSummary
    pages: list[str] = Field(description="of funnel, clips, training, evaluation, model: those with content")
    graph: Graph | None
    tasks: list[Task]
    notices: list[Notice]
    gate: GateSummary | None
    promotion: Promotion | None = Field(description="without its differences, which are in the evaluation")
    record: dict[str, Any] = Field(description="without its tasks; of a damaged one what there is")
    changes: list[Change]
    notes: list[str]


class LogDocument(Record):
    """/api/runs/{run}/tasks/{index}/log: a part of a task's log; offsets are in bytes."""

    text: str
    start: int
    end: int
    size: int
    notes: list[str] = Field(default_factory=list)


class FunnelStage(Record):
    """A task that decides on items, in the order of the run."""

    task: int
    name: str
    stage: str
    received: int
    added: int
    kept: int
    dropped: int
    failed: int
    quarantined: int
    where: Where = Field(description="the clips that it did not keep")


class Flow(Record):
    """Items that left a stage: to the next one, or for good by a verdict and a rule."""

    source: int = Field(description="index in `stages`")
    target: int | None = Field(description="index in `stages`; None where they left for good")
    verdict: Verdict
    rule: str = ""
    items: int
    where: Where = Field(description="shows these items in the gallery")


class FunnelDocument(Record):
    """/api/runs/{run}/funnel: what came into each stage, what left it, and why."""

    stages: list[FunnelStage]
    flows: list[Flow]
    similarity: list[SimilarityReport] = Field(description="of each dedup")
    filters: list[FilterQuality] = Field(description="how well filters work, where that was measured")
    unfinished: list[str] = Field(description="stages of the curation that told nothing, and why")
    notes: list[str]


class Choice(Record):
    value: str
    count: int


class ClipField(Record):
    """A field by which clips are filtered."""

    name: str
    title: str
    kind: Literal["choice", "number", "text"]
    choices: list[Choice] = Field(default_factory=list, description="most frequent first")
    min: float | None = None
    max: float | None = None
    unit: str = ""
    bins: list[int] | None = Field(default=None, description="clips in 20 equal bins from min to max")


class FieldsDocument(Record):
    """/api/runs/{run}/clips/fields."""

    fields: list[ClipField]
    sorts: list[str] = Field(description='names to sort by; "-" before one sorts downwards')
    embedded: int | None = Field(description="clips in this file; None from a server")
    total: int
    notes: list[str]


class ClipRow(Record):
    """A clip in the gallery, or a source that was dropped before there was one.

    Its fields have the names by which `where` and `sort` call them.
    """

    id: str
    name: str
    verdict: Verdict
    stage: str = Field(description="that decided last on it")
    rule: str
    value: str
    threshold: str
    evidence: str
    caption: str = Field(description="the judge's, else the description, else what came with the footage")
    split: str
    bucket: str
    shard: str
    licence: str
    origin: str
    author: str
    judge: str
    sound: str = Field(description='"with sound" or "silent"; empty where not known')
    codec: str
    made_by: str
    seconds: float | None
    start: float | None = Field(description="seconds into its source")
    fps: float | None
    width: int | None
    height: int | None
    media: str
    media_bytes: int | None
    thumbnail: bool = Field(description="whether /thumb/{run}/{clip} has a picture")
    signals: dict[str, float | None]


class ClipsDocument(Record):
    """/api/runs/{run}/clips?offset=&limit=&sort=&where=."""

    total: int = Field(description="clips that fit `where`")
    offset: int
    clips: list[ClipRow]


class Neighbour(Record):
    """A clip that looks alike."""

    id: str
    name: str
    score: float | None
    relation: str = Field(description="near pair, copy of this, kept for this")


class Said(Record):
    """What somebody says of a clip."""

    by: str = Field(description="the footage, or the stage that asked a judge")
    judge: str = ""
    judge_version: str = ""
    text: str
    details: dict[str, Any] = Field(default_factory=dict)


class ClipDocument(Record):
    """/api/runs/{run}/clips/{clip}: a clip's or a source's whole story."""

    id: str
    name: str
    row: ClipRow | None = Field(description="as in the gallery")
    source: Source | None
    clip: Clip | None = Field(description="as the last stage that kept it left it")
    media: str
    key_frames: list[str]
    said: list[Said]
    annotation: Annotation | None
    fates: list[Fate] = Field(description="what each stage decided, in order")
    prompts: dict[str, str] = Field(description="what the judge of a task was asked, by the task's name")
    duplicates: list[Duplicate] = Field(description="clips that were dropped for this one")
    neighbours: list[Neighbour] = Field(description="most alike first")
    trainings: list[Training]
    forgotten: str
    notes: list[str]
