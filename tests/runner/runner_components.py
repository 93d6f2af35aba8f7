"""Container components of the corpus: small commands, so that tasks start in milliseconds."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath

IMAGE = "example.invalid/none"


@dsl.container_component
def say(text: str, said: OutputPath(str)):
    """Its text, as output parameter."""
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'echo "$0"; printf %s "$0" > "$1"'], [text, said])


@dsl.container_component
def join(a: str, b: str, said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0$1" > "$2"'], [a, b, said])


@dsl.container_component
def say_or_default(said: OutputPath(str), text: str = "default"):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [text, said])


@dsl.container_component
def whole(value: int, out: OutputPath(int)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf "%s\\n" "$0" > "$1"'], [value, out])


@dsl.container_component
def real(value: float, out: OutputPath(float)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [value, out])


@dsl.container_component
def flag(value: bool, out: OutputPath(bool)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [value, out])


@dsl.container_component
def sequence(value: list, out: OutputPath(list)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [value, out])


@dsl.container_component
def mapping(value: dict, out: OutputPath(dict)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [value, out])


@dsl.container_component
def numbers(upto: int, items: OutputPath(list[int]), count: OutputPath(int)):
    """The list 1 ... upto, and its length."""
    program = "import sys; n = int(sys.argv[1]); open(sys.argv[2], 'w').write(str(list(range(1, n + 1))))"
    more = "; open(sys.argv[3], 'w').write(str(n))"
    return dsl.ContainerSpec(IMAGE, ["python3", "-c", program + more], [upto, items, count])


@dsl.container_component
def write(text: str, file: Output[Dataset]):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [text, file.path])


@dsl.container_component
def read(file: Input[Dataset], text: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["cp"], [file.path, text])


@dsl.container_component
def read_all(files: Input[list[Dataset]], text: OutputPath(str)):
    """The texts of all files, joined by commas."""
    program = (
        "import json, sys; files = json.loads(sys.argv[1])['inputs']['artifacts']['files']['artifacts'];"
        "open(sys.argv[2], 'w').write(','.join(open(file['uri']).read() for file in files))"
    )
    executor_input = dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER
    return dsl.ContainerSpec(IMAGE, ["python3", "-c", program], [executor_input, text])


@dsl.container_component
def fail():
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", "echo all is lost; exit 3"])


@dsl.container_component
def succeed_at(attempt: int, folder: str, said: OutputPath(str)):
    """Fails until it has been started `attempt` times; counts by files in `folder`."""
    program = 'mktemp "$1/XXXXXX"; n=$(ls "$1" | wc -l); printf %s "$n" > "$2"; test "$n" -ge "$0"'
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [attempt, folder, said])


@dsl.container_component
def report_status(status: dsl.PipelineTaskFinalStatus, said: OutputPath(dict)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [status, said])
