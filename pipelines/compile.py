"""Compile the pipelines to `pipelines/compiled`, or check that the committed files are current."""

import argparse
import difflib
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler

from pipelines.pipeline import PIPELINES
from pipelines.portable import violations
from pipelines.targets.embedded import EMBEDDED
from pipelines.targets.remote import load_target
from pipelines.targets.target import Target
from veo_core.commandline import Parser
from veo_core.errors import UsageError

FOLDER = Path(__file__).parent
DEFAULT_PRESET = "world"
WHOLE = "pipeline"


def committed_targets() -> list[Target]:
    """The targets whose IR is committed: the laptop, and the example profiles."""
    examples = sorted((FOLDER / "profiles").glob("*-example.yaml"))
    return [EMBEDDED, *(load_target(path) for path in examples)]


def compiled_path(target: Target, pipeline: str) -> Path:
    """`TARGET.yaml` for the whole pipeline, `TARGET-NAME.yaml` for another one."""
    suffix = "" if pipeline == WHOLE else f"-{pipeline}"
    return FOLDER / "compiled" / f"{target.name}{suffix}.yaml"


def compile_target(target: Target, pipeline: str, path: Path) -> None:
    """Write a pipeline's IR for a target, with the default preset's values as its parameters' defaults.

    Raises:
        UsageError: the IR is outside of the portable subset.
    """
    preset: dict[str, Any] = yaml.safe_load((FOLDER / "presets" / f"{DEFAULT_PRESET}.yaml").read_text())
    defaults = {"root": target.root, "seed": 0, "parts": []} | preset
    compiler.Compiler().compile(PIPELINES[pipeline](target, defaults), str(path))
    # kfp's leading comment lists defaults in an order that changes from process to process.
    body = path.read_text().split("\ncomponents:\n", 1)[1]
    path.write_text(f"# Made by `make compile`.\ncomponents:\n{body}")
    found = violations(target.name, list(yaml.load_all(path.read_text(), yaml.CSafeLoader)))
    if found:
        raise UsageError(f"{target.name}, {pipeline}: {found[0]}")


def main() -> int:
    parser = Parser(prog="python -m pipelines.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed IR, write nothing")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="compile for this profile instead")
    parser.add_argument(
        "--choice", type=int, default=0, metavar="N", help="which of the profile's accelerators, from 0 on"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where the IR of --profile goes")
    arguments = parser.parse_args()
    try:
        if arguments.profile is not None:
            return _compile_profile(parser, arguments)
        return _compile_committed(check=arguments.check)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compile_profile(parser: Parser, arguments: argparse.Namespace) -> int:
    if arguments.output is None or arguments.check:
        parser.error("--profile needs --output and has nothing to --check")
    target = load_target(arguments.profile, arguments.choice)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for pipeline in PIPELINES:
        path = arguments.output / compiled_path(target, pipeline).name
        compile_target(target, pipeline, path)
        print(f"wrote {path}")
    return 0


def _compile_committed(*, check: bool) -> int:
    stale = False
    for target, pipeline in itertools.product(committed_targets(), PIPELINES):
        committed = compiled_path(target, pipeline)
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / "pipeline.yaml"
            compile_target(target, pipeline, fresh)
            text = fresh.read_text()
        if not check:
            committed.parent.mkdir(exist_ok=True)
            committed.write_text(text)
            print(f"wrote {committed.relative_to(FOLDER.parent)}")
            continue
        old = committed.read_text().splitlines() if committed.exists() else []
        difference = list(
            difflib.unified_diff(old, text.splitlines(), "committed", "fresh", lineterm="", n=1)
        )
        if difference:
            stale = True
            print("\n".join(difference[:20]))
            print(f"{committed.relative_to(FOLDER.parent)} is out of date: run `make compile` and commit it")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
