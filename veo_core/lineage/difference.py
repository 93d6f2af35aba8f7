"""What differs between two runs: the typed result of `veo_core.lineage.diff`.

`first` and `second` are the runs in the order in which they were given, and a change leads from the first one
to the second.
"""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.changes import Kind, ValueChange
from veo_core.records.ledger import Verdict
from veo_core.records.run import RunState, Target

SCHEMA_VERSION = 1

Outcome = Literal["equal", "different", "only_first", "only_second", "unknown"]
"""Of a stage: "unknown" where one of the runs did not bring it to an end."""
CauseKind = Literal[
    "source", "parameter", "code", "library", "image", "command", "environment", "input", "judge", "machine",
    "state", "missing", "unrecorded",
]  # fmt: skip


class RunSide(Record):
    """What identifies one of the runs."""

    run: str
    pipeline: str
    target: Target
    state: RunState
    created: float = Field(description="seconds since the epoch")
    git_sha: str
    git_dirty: bool
    ir_digest: str


class Cause(Record):
    """One reason for which a stage's output may differ that lies in the stage itself, not before it."""

    kind: CauseKind
    name: str = Field(
        description="the parameter, file, library, source or other thing; empty for kinds without one"
    )
    text: str = Field(description="one line for people")


class StageDifference(Record):
    """One task of the two runs.

    `first_digests` and `second_digests` are those of its output artifacts by name.
    """

    task: str
    component: str
    outcome: Outcome
    first_state: str = Field(description="empty where the run has no such task")
    second_state: str
    first_digests: dict[str, str] = Field(default_factory=dict)
    second_digests: dict[str, str] = Field(default_factory=dict)
    upstream: list[str] = Field(
        default_factory=list, description="tasks before it whose output it read and whose output differs"
    )
    causes: list[Cause] = Field(
        default_factory=list,
        description="what differs in the stage itself, also where its output is equal; most telling first",
    )
    parts: list[str] = Field(
        default_factory=list,
        description="what of its manifest differs: `table clips`, `file weights`, `shards`",
    )
    figures: list[ValueChange] = Field(default_factory=list, description="counts and figures of its manifest")


class SourceChange(Record):
    """A source file; `changed` has the same name and other bytes."""

    name: str
    kind: Kind
    first_sha256: str = ""
    second_sha256: str = ""


class ClipFate(Record):
    """Where an item ended in one run, and by which decision."""

    verdict: Verdict
    stage: str
    rule: str = ""
    value: str = ""
    threshold: str = ""
    evidence: str = ""
    judge: str = ""
    judge_version: str = ""


class ClipChange(Record):
    """An item (a clip, or a source of which no clip was made) of one run only, or with another fate."""

    item: str
    source: str = Field(description="file name of its source, or the source's id where no name is known")
    kind: Kind
    first: ClipFate | None = None
    second: ClipFate | None = None


class ClipFlow(Record):
    """How many items went from one fate to another; an empty verdict stands for not being there at all."""

    first_verdict: Verdict | Literal[""]
    first_stage: str = ""
    first_rule: str = ""
    second_verdict: Verdict | Literal[""]
    second_stage: str = ""
    second_rule: str = ""
    items: int


class DataDifference(Record):
    """What became of the sources and clips of both runs.

    Counts are complete; `sources` and `clips` list as many of each kind as the caller asked for. A clip is
    the same in both runs where its source has the same name and bytes and its shot the same number.
    """

    first_kept: int = Field(description="clips in the end")
    second_kept: int
    sources_added: int = 0
    sources_removed: int = 0
    sources_changed: int = 0
    clips_added: int = 0
    clips_removed: int = 0
    clips_changed: int = Field(default=0, description="with another verdict, or dropped by another rule")
    flows: list[ClipFlow] = Field(default_factory=list, description="most items first; equal fates left out")
    sources: list[SourceChange] = Field(default_factory=list)
    clips: list[ClipChange] = Field(default_factory=list)


class Interval(Record):
    """A figure of one run with its 95 % interval."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int


class PairedTest(Record):
    """Second run less first on the prompts that both answered (veo_core.evaluate.compare)."""

    difference: float
    ci_low: float
    ci_high: float
    p_value: float = Field(description="adjusted for the number of metrics")
    prompts: int
    verdict: Literal["better", "worse", "undecided"]


class MetricDifference(Record):
    """One figure of the evaluation in both runs; also listed where it is equal."""

    metric: str
    split: str
    mode: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    first: Interval | None = None
    second: Interval | None = None
    test: PairedTest | None = Field(
        default=None, description="None where the two cannot be compared by prompt"
    )


class RunDifference(Record):
    """Everything that differs between two runs, and where they part.

    `diverging` is the first task, in the order of the pipeline, whose output differs though all that it read
    from earlier tasks is equal; its entry in `stages` has the causes. Empty where no output differs.
    """

    schema_version: int = SCHEMA_VERSION
    first: RunSide
    second: RunSide
    diverging: str = ""
    stages: list[StageDifference] = Field(default_factory=list, description="in the order of the pipeline")
    parameters: list[ValueChange] = Field(default_factory=list, description="the place of the store left out")
    code: list[ValueChange] = Field(default_factory=list, description="files of the product, by sha256")
    commits: list[str] = Field(
        default_factory=list,
        description="`HASH SUBJECT` of the commits between, where a repository knows both",
    )
    images: list[ValueChange] = Field(default_factory=list)
    packages: list[ValueChange] = Field(default_factory=list, description="versions of installed libraries")
    machine: list[ValueChange] = Field(
        default_factory=list, description="python, platform, CPUs, accelerators"
    )
    data: DataDifference | None = Field(default=None, description="None where no ledger of both can be read")
    metrics: list[MetricDifference] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list, description="what is not known, and why")

    @property
    def equal(self) -> bool:
        """Whether every stage of both runs came to an end with equal outputs."""
        return all(stage.outcome == "equal" for stage in self.stages)

    def stage(self, task: str) -> StageDifference:
        """The entry of a task that is in one of the runs."""
        return next(stage for stage in self.stages if stage.task == task)
