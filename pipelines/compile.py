"""Compile the pipeline to `pipelines/compiled/TARGET.yaml`, or check that the committed file is current."""

import argparse
import difflib
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler

from pipelines.pipeline import build_pipeline
from pipelines.targets.embedded import EMBEDDED
from pipelines.targets.target import Target

TARGETS = (EMBEDDED,)
FOLDER = Path(__file__).parent
DEFAULT_PRESET = "world"


def compiled_path(target: Target) -> Path:
    return FOLDER / "compiled" / f"{target.name}.yaml"


def compile_target(target: Target, path: Path) -> None:
    """Write the IR of a target, with the default preset's values as the parameters' defaults."""
    preset: dict[str, Any] = yaml.safe_load((FOLDER / "presets" / f"{DEFAULT_PRESET}.yaml").read_text())
    defaults = {"root": "store", "seed": 0} | preset
    compiler.Compiler().compile(build_pipeline(target, defaults), str(path))
    # kfp's leading comment lists defaults in an order that changes from process to process.
    body = path.read_text().split("\ncomponents:\n", 1)[1]
    path.write_text(f"# Made by `make compile`.\ncomponents:\n{body}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed IR, write nothing")
    arguments = parser.parse_args()
    stale = False
    for target in TARGETS:
        committed = compiled_path(target)
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / "pipeline.yaml"
            compile_target(target, fresh)
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
