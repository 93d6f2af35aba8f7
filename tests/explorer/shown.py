"""Synthetic runs as the explorer shows them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lineage"))

from synthetic_run import SyntheticRun

from veo_core.explorer.api import Api
from veo_core.explorer.library import Library, RunsFolder
from veo_core.records.base import Record
from veo_core.storage import Store

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&&lt;\u202e\x00 \u2028"


def make_run(folder: Path, **fields: object) -> SyntheticRun:
    """An empty run in the folder of runs below `folder`, with a store beside it."""
    runs = folder / "runs" / "run-1"
    runs.mkdir(parents=True)
    return SyntheticRun(runs, Store(str(folder / "store")), **fields)


def library_of(*runs: Path | str, store: Store, alive: bool = False) -> Library:
    return Library([RunsFolder(str(folder)) for folder in runs], store, lambda folder: alive)


def api_of(run: SyntheticRun, *, alive: bool = False) -> Api:
    return Api(library_of(run.folder.parent, store=run.store, alive=alive))


def get(api: Api, path: str = "", **query: str) -> Record:
    """A document of the run, by the rest of its path."""
    return api.get(f"/api/runs/run-1/{path}".rstrip("/"), query)
