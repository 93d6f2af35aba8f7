"""The compiled pipeline as typed values: what the engine executes.

The names follow KFP's PipelineSpec, schema 2.1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias


class ParameterType(Enum):
    """The types of parameters that KFP knows and this engine executes."""

    STRING = "STRING"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"


@dataclass(frozen=True)
class ParameterInput:
    """An input parameter; `default` is None where there is none (null is no default in KFP)."""

    type: ParameterType
    optional: bool = False
    default: Any = None
    literals: tuple[Any, ...] = ()


@dataclass(frozen=True)
class ArtifactInput:
    schema: Mapping[str, str]
    is_list: bool = False
    optional: bool = False


@dataclass(frozen=True)
class ArtifactOutput:
    schema: Mapping[str, str]
    is_list: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Constant:
    """A value in the IR; its strings may hold placeholders."""

    value: Any


@dataclass(frozen=True)
class ComponentInput:
    """An input of the DAG that the task belongs to."""

    name: str


@dataclass(frozen=True)
class TaskOutput:
    """An output of a sibling task."""

    task: str
    key: str


@dataclass(frozen=True)
class FinalStatus:
    """How a sibling task ended."""

    task: str


ParameterSource: TypeAlias = Constant | ComponentInput | TaskOutput | FinalStatus
ArtifactSource: TypeAlias = ComponentInput | TaskOutput


@dataclass(frozen=True)
class ParameterBinding:
    """Where a task's input parameter comes from; `key` selects an entry of a STRUCT value."""

    source: ParameterSource
    key: str | None = None


@dataclass(frozen=True)
class Iterator:
    """A loop: `items` is a list from the IR, or the name of the task's input that holds one."""

    item_input: str
    items: tuple[Any, ...] | str
    parallelism: int | None = None


@dataclass(frozen=True)
class Retry:
    """Further attempts after the first; waits are in seconds."""

    count: int = 0
    backoff: float = 0.0
    factor: float = 2.0
    backoff_limit: float = 3600.0


@dataclass(frozen=True)
class Task:
    """A node of a DAG.

    Attributes:
        name: its key in the DAG. display_name: what people call it.
        depends_on: siblings that end before it starts, those that it reads from among them.
        condition: CEL expression over its input parameters, or None.
        after_failure: it runs once its upstream has ended, however it ended.
    """

    name: str
    display_name: str
    component: str
    depends_on: tuple[str, ...]
    parameters: Mapping[str, ParameterBinding]
    artifacts: Mapping[str, ArtifactSource]
    condition: str | None = None
    after_failure: bool = False
    iterator: Iterator | None = None
    retry: Retry = Retry()
    cache: bool = False


@dataclass(frozen=True)
class Dag:
    """Tasks in an order in which each follows all that it depends on.

    An output names one source, or the alternatives of a `dsl.OneOf` of which one is produced.
    """

    tasks: Mapping[str, Task]
    parameter_outputs: Mapping[str, tuple[TaskOutput, ...]]
    artifact_outputs: Mapping[str, tuple[TaskOutput, ...]]


@dataclass(frozen=True)
class Container:
    """A command; the image is left out, since the installed environment stands for it."""

    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]
    accelerator: bool


@dataclass(frozen=True)
class Importer:
    """An artifact from outside; `uri` is its place, or the input parameter that tells it."""

    uri: str | ComponentInput
    schema: Mapping[str, str]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Component:
    name: str
    implementation: Dag | Container | Importer
    parameters: Mapping[str, ParameterInput]
    artifacts: Mapping[str, ArtifactInput]
    output_parameters: Mapping[str, ParameterType]
    output_artifacts: Mapping[str, ArtifactOutput]


@dataclass(frozen=True)
class Pipeline:
    """A compiled pipeline.

    Attributes:
        digest: sha256 of the canonical IR, so that comments and layout do not count.
        text: the file as read, for the copy in a run's folder.
    """

    name: str
    root: Component
    components: Mapping[str, Component]
    pipeline_root: str
    digest: str
    text: str

    def component(self, task: Task) -> Component:
        return self.components[task.component]
