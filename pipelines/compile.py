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
from pipelines.targets.embedded import EMBEDDED
from pipelines.targets.target import Target

TARGETS = (EMBEDDED,)
FOLDER = Path(__file__).parent
DEFAULT_PRESET = "world"
WHOLE = "pipeline"


def compiled_path(target: Target, pipeline: str) -> Path:
    """`TARGET.yaml` for the whole pipeline, `TARGET-NAME.yaml` for another one."""
    suffix = "" if pipeline == WHOLE else f"-{pipeline}"
    return FOLDER / "compiled" / f"{target.name}{suffix}.yaml"


def compile_target(target: Target, pipeline: str, path: Path) -> None:
    """Write a pipeline's IR for a target, with the default preset's values as its parameters' defaults."""
    preset: dict[str, Any] = yaml.safe_load((FOLDER / "presets" / f"{DEFAULT_PRESET}.yaml").read_text())
    defaults = {"root": "store", "seed": 0, "parts": []} | preset
    compiler.Compiler().compile(PIPELINES[pipeline](target, defaults), str(path))
    # kfp's leading comment lists defaults in an order that changes from process to process.
    body = path.read_text().split("\ncomponents:\n", 1)[1]
    path.write_text(f"# Made by `make compile`.\ncomponents:\n{body}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed IR, write nothing")
    arguments = parser.parse_args()
    stale = False
    for target, pipeline in itertools.product(TARGETS, PIPELINES):
        committed = compiled_path(target, pipeline)
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / "pipeline.yaml"
            compile_target(target, pipeline, fresh)
            text = fresh.read_text()
        if not arguments.check:
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
