"""Pipelines of every construct, each with what Kubeflow's semantics require of it."""
# ruff: noqa: UP045 - kfp reads Optional only

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath
from runner_components import (
    IMAGE,
    fail,
    flag,
    join,
    mapping,
    numbers,
    read,
    read_all,
    real,
    report_status,
    say,
    say_or_default,
    sequence,
    whole,
    write,
)

BIG = 2**53 + 1


@dataclass(frozen=True)
class Case:
    """A pipeline, its arguments, and its expected end.

    Attributes:
        outputs: output parameters by "task.name". states: states of tasks by name, where not SUCCEEDED.
        order: pairs of tasks of which the first ends before the second starts.
    """

    pipeline: Any
    given: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    order: tuple[tuple[str, str], ...] = ()
    run: str = "SUCCEEDED"
    variant: str = ""

    @property
    def name(self) -> str:
        return self.pipeline.name + (f"-{self.variant}" if self.variant else "")


CASES: list[Case] = []


def case(**expected: Any) -> Callable[[Any], Any]:
    """Register the pipeline below it; several may stand above one pipeline."""

    def register(pipeline: Any) -> Any:
        CASES.insert(0, Case(pipeline, **expected))
        return pipeline

    return register


# Dependencies


@case(outputs={"say-2.said": "hello, world"}, order=(("say", "say-2"),))
@dsl.pipeline
def data_dependency():
    say(text=f"{say(text='hello').outputs['said']}, world")


@case(order=(("say", "say-2"), ("say-2", "say-3")))
@dsl.pipeline
def explicit_dependency():
    first = say(text="1")
    second = say(text="2").after(first)
    say(text="3").after(second)


@case(outputs={"read.text": "through a file"}, order=(("write", "read"),))
@dsl.pipeline
def artifact_dependency():
    read(file=write(text="through a file").outputs["file"])


# Parameters


@case(
    given={"a": "text", "b": BIG, "c": 1e-7, "d": False, "e": [1, 2.5, "x", None], "f": {"k": [BIG]}},
    outputs={
        "say.said": "text",
        "whole.out": BIG,
        "real.out": 1e-7,
        "flag.out": False,
        "sequence.out": [1, 2.5, "x", None],
        "mapping.out": {"k": [BIG]},
    },
)
@dsl.pipeline
def typed_parameters(a: str, b: int, c: float, d: bool, e: list, f: dict):
    say(text=a)
    whole(value=b)
    real(value=c)
    flag(value=d)
    sequence(value=e)
    mapping(value=f)


@case(outputs={"whole.out": 7, "real.out": 2.0, "mapping.out": {"n": 1, "m": [2, 0.5]}, "say.said": "7 2"})
@case(variant="given", given={"a": 8}, outputs={"whole.out": 8, "say.said": "8 2"})
@dsl.pipeline
def pipeline_defaults(a: int = 7, b: float = 2.0, c: dict = {"n": 1, "m": [2, 0.5]}):  # noqa: B006
    whole(value=a)
    real(value=b)
    mapping(value=c)
    say(text=f"{a} {b}")


@case(outputs={"say-or-default.said": "default", "say-or-default-2.said": "given"})
@dsl.pipeline
def component_defaults():
    say_or_default()
    say_or_default(text="given")


@case(outputs={"whole.out": 3, "flag.out": True, "mapping.out": {"a": [1, "two"]}})
@dsl.pipeline
def constants():
    whole(value=3)
    flag(value=True)
    mapping(value={"a": [1, "two"]})


@case(given={"x": "v"}, outputs={"mapping.out": {"key": "v", "list": ["v", "it's v", 1]}})
@dsl.pipeline
def constants_with_references(x: str):
    mapping(value={"key": x, "list": [x, f"it's {x}", 1]})


@dsl.container_component
def optional_flags(said: OutputPath(str), a: Optional[str] = None, b: Optional[int] = None):
    return dsl.ContainerSpec(
        IMAGE,
        ["sh", "-c", 'out=$0; printf "%s|" "$@" > "$out"', said],
        [
            dsl.IfPresentPlaceholder("a", then=["--a", a], else_=["--no-a"]),
            dsl.IfPresentPlaceholder("b", then=dsl.ConcatPlaceholder(["--b=", b])),
            dsl.ConcatPlaceholder(["x", dsl.IfPresentPlaceholder("b", then="y", else_="z")]),
        ],
    )


@case(outputs={"optional-flags.said": "--no-a|xz|", "optional-flags-2.said": "--a|one|--b=2|xy|"})
@case(variant="given", given={"a": "1"}, outputs={"optional-flags.said": "--a|1|xz|"})
@dsl.pipeline
def optional_inputs(a: Optional[str] = None):
    optional_flags(a=a)
    optional_flags(a="one", b=2)


@dsl.container_component
def maybe_read(text: OutputPath(str), file: Optional[Input[Dataset]] = None):
    return dsl.ContainerSpec(
        IMAGE,
        ["sh", "-c", 'printf %s "$1" > "$0"', text],
        [dsl.IfPresentPlaceholder("file", then=["a file"], else_=["no file"])],
    )


@case(outputs={"maybe-read.text": "no file", "maybe-read-2.text": "a file"})
@dsl.pipeline
def optional_artifact():
    maybe_read()
    maybe_read(file=write(text="x").outputs["file"])


# Placeholders and outputs


@dsl.container_component
def describe_itself(said: OutputPath(dict)):
    program = (
        "import json, sys;"
        "names = ['job', 'resource', 'uuid', 'task', 'task_uuid', 'root', 'created', 'due'];"
        "json.dump(dict(zip(names, sys.argv[2:])), open(sys.argv[1], 'w'))"
    )
    return dsl.ContainerSpec(
        IMAGE,
        ["python3", "-c", program, said],
        [
            dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
            dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
            dsl.PIPELINE_TASK_ID_PLACEHOLDER,
            dsl.PIPELINE_ROOT_PLACEHOLDER,
            dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
            dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
        ],
    )


@case()
@dsl.pipeline
def run_placeholders():
    describe_itself()


@dsl.container_component
def with_metadata(file: Output[Dataset], count: OutputPath(int), named: OutputPath(str)):
    """Describes its outputs in the executor output file."""
    program = (
        'printf data > "$0"; printf "from file" > "$2"; '
        'printf \'{"parameterValues": {"count": 9007199254740993}, "artifacts": {"file": '
        '{"artifacts": [{"metadata": {"rows": 3, "name": "a b"}}]}}}\' > "$1"'
    )
    output_file = dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [file.path, output_file, named])


@dsl.container_component
def read_metadata(file: Input[Dataset], said: OutputPath(str)):
    return dsl.ContainerSpec(
        IMAGE,
        ["sh", "-c", 'test "$0" = "$1" && printf "%s, %s" "$2" "$3" > "$4"'],
        [file.path, file.uri, file.metadata["rows"], file.metadata["name"], said],
    )


@case(
    outputs={"with-metadata.count": BIG, "with-metadata.named": "from file", "read-metadata.said": "3, a b"}
)
@dsl.pipeline
def executor_output():
    read_metadata(file=with_metadata().outputs["file"])


@dsl.container_component
def escape_input(text: str, said: OutputPath(str)):
    """Embeds the executor input in a JSON document, as Google's launchers do."""
    program = (
        "import json, sys; inner = json.loads(json.loads(sys.argv[1])['inner']);"
        "open(sys.argv[2], 'w').write(inner['inputs']['parameterValues']['text'])"
    )
    return dsl.ContainerSpec(IMAGE, ["python3", "-c", program], ['{"inner": "{{$.json_escape[1]}}"}', said])


@case(given={"x": 'a "quoted" \\ text'}, outputs={"escape-input.said": 'a "quoted" \\ text'})
@dsl.pipeline
def escaped_executor_input(x: str):
    escape_input(text=x)


@dsl.container_component
def read_environment(said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$GREETING" > "$0"'], [said])


@case(outputs={"read-environment.said": "good day"})
@dsl.pipeline
def environment():
    read_environment().set_env_variable("GREETING", "good day")


@dsl.container_component
def make_folder(files: Output[Dataset]):
    return dsl.ContainerSpec(
        IMAGE, ["sh", "-c", 'mkdir -p "$0/b"; printf 1 > "$0/a"; printf 2 > "$0/b/c"'], [files.path]
    )


@dsl.container_component
def list_folder(files: Input[Dataset], said: OutputPath(str)):
    return dsl.ContainerSpec(
        IMAGE, ["sh", "-c", 'cd "$0" && find . -type f | sort | tr "\\n" " " > "$1"'], [files.path, said]
    )


@case(outputs={"list-folder.said": "./a ./b/c "})
@dsl.pipeline
def folder_artifact():
    list_folder(files=make_folder().outputs["files"])


@dsl.container_component
def write_nothing(file: Output[Dataset]):
    return dsl.ContainerSpec(IMAGE, ["true"], [file.path])


@case()
@dsl.pipeline
def artifact_not_written():
    write_nothing()


# Conditions


@case(given={"n": 5}, outputs={"condition-1/say.said": "many"})
@case(variant="false", given={"n": 1}, states={"condition-1": "SKIPPED"})
@dsl.pipeline
def condition_on_input(n: int):
    with dsl.If(n > 1):
        say(text="many")


@case(outputs={"condition-1/say.said": "3"})
@dsl.pipeline
def condition_on_named_output():
    made = numbers(upto=3)
    with dsl.If(made.outputs["count"] > 1):
        say(text=f"{made.outputs['count']}")


@case(
    variant="if",
    given={"n": 1},
    outputs={"say-4.said": "one"},
    states={"condition-branches-1/condition-3": "SKIPPED", "condition-branches-1/condition-4": "SKIPPED"},
)
@case(
    variant="elif",
    given={"n": 2},
    outputs={"say-4.said": "two"},
    states={"condition-branches-1/condition-2": "SKIPPED", "condition-branches-1/condition-4": "SKIPPED"},
)
@case(
    variant="else",
    given={"n": 3},
    outputs={"say-4.said": "other"},
    states={"condition-branches-1/condition-2": "SKIPPED", "condition-branches-1/condition-3": "SKIPPED"},
)
@dsl.pipeline
def branches_and_one_of(n: int):
    with dsl.If(n == 1):
        first = say(text="one")
    with dsl.Elif(n == 2):
        second = say(text="two")
    with dsl.Else():
        third = say(text="other")
    chosen = dsl.OneOf(first.outputs["said"], second.outputs["said"], third.outputs["said"])
    say(text=chosen).set_display_name("the last")


@case(
    variant="if",
    given={"x": "a"},
    outputs={"read.text": "A"},
    states={"condition-branches-1/condition-3": "SKIPPED"},
)
@case(
    variant="else",
    given={"x": "b"},
    outputs={"read.text": "B"},
    states={"condition-branches-1/condition-2": "SKIPPED"},
)
@dsl.pipeline
def one_of_artifacts(x: str):
    with dsl.If(x == "a"):
        first = write(text="A")
    with dsl.Else():
        second = write(text="B")
    read(file=dsl.OneOf(first.outputs["file"], second.outputs["file"]))


@case(
    given={"x": "it's", "y": True, "z": 0.5}, outputs={"condition-1/condition-2/condition-3/say.said": "it's"}
)
@case(variant="outer-false", given={"x": "n", "y": True, "z": 0.5}, states={"condition-1": "SKIPPED"})
@case(
    variant="inner-false",
    given={"x": "it's", "y": False, "z": 0.5},
    states={"condition-1/condition-2": "SKIPPED"},
)
@dsl.pipeline
def nested_conditions(x: str, y: bool, z: float):
    with dsl.If(x != "n"), dsl.If(y == True), dsl.If(z <= 0.5):  # noqa: E712
        say(text=x)


# Loops


@case(outputs={"for-loop-2/0/say.said": "#1", "for-loop-2/1/say.said": "#2", "for-loop-2/2/say.said": "#3"})
@dsl.pipeline
def static_loop():
    with dsl.ParallelFor([1, 2, 3]) as item:
        say(text=f"#{item}")


@case(
    outputs={
        "for-loop-2/0/whole.out": BIG,
        "for-loop-2/1/whole-2.out": 3,
        "for-loop-2/1/mapping.out": {"a": 2, "b": 3},
    }
)
@dsl.pipeline
def loop_over_mappings():
    with dsl.ParallelFor([{"a": BIG, "b": 1}, {"a": 2, "b": 3}]) as item:
        whole(value=item.a)
        whole(value=item.b)
        mapping(value=item)


@case(
    outputs={"for-loop-1/0/say-2.said": "1/up", "for-loop-1/1/say-2.said": "2/up"},
    order=(("say", "for-loop-1/0/say-2"), ("numbers", "for-loop-1/1/say-2")),
)
@dsl.pipeline
def dynamic_loop_with_upstream_output():
    upstream = say(text="up")
    made = numbers(upto=2)
    with dsl.ParallelFor(made.outputs["items"]) as item:
        say(text=f"{item}/{upstream.outputs['said']}")


@case(given={"xs": ["p", "q"]}, outputs={"for-loop-1/0/say.said": "p", "for-loop-1/1/say.said": "q"})
@dsl.pipeline
def loop_over_pipeline_input(xs: list):
    with dsl.ParallelFor(xs) as item:
        say(text=item)


@case(
    outputs={
        "for-loop-2/0/for-loop-4/0/join.said": "1a",
        "for-loop-2/0/for-loop-4/1/join.said": "1b",
        "for-loop-2/1/for-loop-4/0/join.said": "2a",
        "for-loop-2/1/for-loop-4/1/join.said": "2b",
    }
)
@dsl.pipeline
def nested_loops():
    with dsl.ParallelFor(["1", "2"]) as outer, dsl.ParallelFor(["a", "b"]) as inner_item:
        join(a=outer, b=inner_item)


@case(
    outputs={"for-loop-2/0/say.said": "1", "for-loop-2/1/say.said": "2"},
    order=(("for-loop-2/0/say", "for-loop-2/1/say"),),
)
@dsl.pipeline
def loop_one_at_a_time():
    with dsl.ParallelFor(["1", "2"], parallelism=1) as item:
        say(text=item)


@case(states={"for-loop-2/0/condition-3": "SKIPPED"}, outputs={"for-loop-2/1/condition-3/whole.out": 2})
@dsl.pipeline
def condition_in_loop():
    with dsl.ParallelFor([1, 2]) as item, dsl.If(item > 1):
        whole(value=item)


@case(outputs={"sequence.out": [1, 2, BIG]})
@dsl.pipeline
def collected_parameters():
    with dsl.ParallelFor([1, 2, BIG]) as item:
        passed = whole(value=item)
    sequence(value=dsl.Collected(passed.outputs["out"]))


@case(given={"xs": ["a", "b", "c"]}, outputs={"read-all.text": "a,b,c"})
@case(variant="empty", given={"xs": []}, outputs={"read-all.text": "", "sequence.out": []})
@dsl.pipeline
def collected_artifacts(xs: list):
    with dsl.ParallelFor(xs) as item:
        written = write(text=item)
        told = say(text=item)
    read_all(files=dsl.Collected(written.outputs["file"]))
    sequence(value=dsl.Collected(told.outputs["said"]))


@dsl.pipeline
def twice(x: str) -> str:
    told = say(text=x)
    return say(text=f"{told.outputs['said']}{told.outputs['said']}").outputs["said"]


@case(outputs={"sequence.out": ["aa", "bb"]})
@dsl.pipeline
def collected_from_nested_pipeline():
    with dsl.ParallelFor(["a", "b"]) as item:
        doubled = twice(x=item)
    sequence(value=dsl.Collected(doubled.output))


# Nested pipelines


class Both(NamedTuple):
    text: str
    file: Dataset


@dsl.pipeline
def inner(x: str, file: Input[Dataset], n: int = 3) -> NamedTuple("Both", [("text", str), ("file", Dataset)]):
    content = read(file=file)
    told = say(text=f"{x}{n}{content.outputs['text']}")
    return Both(text=told.outputs["said"], file=write(text=told.outputs["said"]).outputs["file"])


@case(outputs={"inner/say.said": "x3F", "say.said": "x3F!", "read.text": "x3F", "inner-2/say.said": "y4x3F"})
@dsl.pipeline
def nested_pipelines():
    first = inner(x="x", file=write(text="F").outputs["file"])
    say(text=f"{first.outputs['text']}!")
    read(file=first.outputs["file"])
    inner(x="y", n=4, file=first.outputs["file"])


# Failures


@case(
    run="FAILED",
    states={"fail": "FAILED", "say": "SKIPPED", "say-2": "SKIPPED"},
    outputs={"say-3.said": "elsewhere", "say-4.said": "elsewhere too"},
)
@dsl.pipeline
def failure_stops_dependants_only():
    broken = fail()
    stopped = say(text="never").after(broken)
    say(text="never either").after(stopped)
    say(text=f"{say(text='elsewhere').outputs['said']} too")


@dsl.container_component
def succeed_if(word: str, said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'test "$0" = good && printf %s "$0" > "$1"'], [word, said])


@case(
    run="FAILED",
    states={"for-loop-2/1/succeed-if": "FAILED", "sequence": "SKIPPED"},
    outputs={"for-loop-2/0/succeed-if.said": "good", "for-loop-2/2/succeed-if.said": "good"},
)
@dsl.pipeline
def failing_iteration():
    with dsl.ParallelFor(["good", "bad", "good"]) as item:
        told = succeed_if(word=item)
    sequence(value=dsl.Collected(told.outputs["said"]))


@case(
    run="FAILED",
    states={"exit-handler-1/fail": "FAILED", "exit-handler-1/say": "SKIPPED"},
)
@dsl.pipeline
def exit_handler_after_failure():
    with dsl.ExitHandler(report_status()):
        say(text="never").after(fail())


@case(outputs={"exit-handler-1/say.said": "well"}, order=(("exit-handler-1/say", "report-status"),))
@dsl.pipeline
def exit_handler_after_success():
    with dsl.ExitHandler(report_status()):
        say(text="well")


@dsl.container_component
def fail_with_output(said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf x > "$0"; exit 1'], [said])


@case(
    run="FAILED",
    states={"fail-with-output": "FAILED"},
    outputs={"say-or-default.said": "default"},
    order=(("fail-with-output", "say-or-default"),),
)
@dsl.pipeline
def upstream_failure_ignored():
    say_or_default(text=fail_with_output().outputs["said"]).ignore_upstream_failure()


@dsl.container_component
def forget_output(said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["true"], [said])


@case(run="FAILED", states={"forget-output": "FAILED"})
@dsl.pipeline
def missing_output_parameter():
    forget_output()


@dsl.container_component
def not_a_number(out: OutputPath(int)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf many > "$0"'], [out])


@case(run="FAILED", states={"not-a-number": "FAILED", "whole": "SKIPPED"})
@dsl.pipeline
def output_of_wrong_type():
    whole(value=not_a_number().outputs["out"])


@dsl.container_component
def no_such_command():
    return dsl.ContainerSpec(IMAGE, ["no-such-command-anywhere"])


@case(run="FAILED", states={"no-such-command": "FAILED"})
@dsl.pipeline
def command_not_found():
    no_such_command()


@case(given={"x": {"a": 1}}, run="FAILED", states={"for-loop-1/0/say": "FAILED"})
@dsl.pipeline
def loop_item_without_entry(x: dict):
    made = sequence(value=[x])
    with dsl.ParallelFor(made.outputs["out"]) as item:
        say(text=item.missing)


# Importer


@case(given={"place": "imported.txt"}, outputs={"read.text": "from outside"})
@case(
    variant="missing",
    given={"place": "nowhere.txt"},
    run="FAILED",
    states={"importer": "FAILED", "read": "SKIPPED"},
)
@dsl.pipeline
def importer(place: str):
    imported = dsl.importer(artifact_uri=place, artifact_class=Dataset, metadata={"from": place, "n": 1})
    read(file=imported.output)


@dsl.container_component
def tell_place(file: Input[Dataset], said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [file.uri, said])


@case(run="FAILED", states={"read": "FAILED"}, outputs={"tell-place.said": "gs://bucket/file"})
@dsl.pipeline
def importer_of_remote_uri():
    """Its URI can be passed on; a local path of it would need a download, which fails loudly."""
    imported = dsl.importer(artifact_uri="gs://bucket/file", artifact_class=Dataset)
    tell_place(file=imported.output)
    read(file=imported.output)


@dsl.container_component
def perhaps_nothing(program: Optional[str] = None):
    return dsl.ContainerSpec(IMAGE, [dsl.IfPresentPlaceholder("program", then=[program])])


@case(run="FAILED", states={"perhaps-nothing": "FAILED"})
@dsl.pipeline
def empty_command():
    perhaps_nothing()


@case(given={"x": "a\0b"}, run="FAILED", states={"say": "FAILED"})
@dsl.pipeline
def impossible_argument(x: str):
    say(text=x)
