"""Helpers of the runner's tests."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import compiler

from veo_core.records.run import RunRecord, TaskRecord

Run = Callable[..., RunRecord]


def compile_text(pipeline: Any, folder: Path) -> str:
    """The IR of a pipeline as kfp compiles it."""
    path = folder / "compiled.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(pipeline, str(path))
    return path.read_text()


def tasks(record: RunRecord) -> dict[str, TaskRecord]:
    return {task.name: task for task in record.tasks}


def states(record: RunRecord) -> dict[str, str]:
    return {task.name: task.state for task in record.tasks}
