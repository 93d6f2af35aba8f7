"""Compiling and running small pipelines in a test's own folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from runner_testing import Run, compile_text

from veo_core.records.run import RunRecord
from veo_core.runner import engine, ir
from veo_core.runner.spec import Pipeline


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], Pipeline]:
    """Compile a pipeline and read its IR."""
    return lambda pipeline: ir.loads(compile_text(pipeline, tmp_path), where="compiled.yaml")


@pytest.fixture
def run(tmp_path: Path, load: Callable[[Any], Pipeline]) -> Run:
    """Compile a pipeline and run it; runs share the test's cache."""

    def compile_and_run(pipeline: Any, given: Mapping[str, Any] | None = None, **options: Any) -> RunRecord:
        settings = engine.Options(cwd=tmp_path, **options)
        return engine.run(load(pipeline), given or {}, runs_dir=tmp_path / "runs", options=settings)

    return compile_and_run
