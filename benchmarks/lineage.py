"""How long `veo why` takes over a run of 100,000 clips, from the start of its process to its last line."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks import synthetic_run
from benchmarks.report import Row, publish, quick, seed
from veo_core.lineage.evidence import gather
from veo_core.storage import Store

CLIPS, QUICK_CLIPS = 100_000, 10_000
_TIMES = 7
_TARGET_SECONDS = 2.0


def main() -> None:
    """Write a run, ask it, print the median times, and write results/lineage.json."""
    used, clips = seed(0), QUICK_CLIPS if quick() else CLIPS
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = synthetic_run.write(Path(folder), clips, used)
        rows = [Row("synthetic run written", time.perf_counter() - started, "s")]
        rows += [
            _asked(what, query, run, Path(folder)) for what, query in _queries(run, Path(folder)).items()
        ]
    publish("lineage", rows, used_seed=used, section="why")


def _queries(run: Path, folder: Path) -> dict[str, str]:
    """What is asked: a clip from the middle of the dataset, its source, one of its files, its model."""
    store = Store(str(folder / "store"))
    dataset = gather(run, store).last("package")
    assert dataset is not None
    table = pq.read_table(Path(store.root, dataset.tables["clips"].path), columns=["clip_id", "source"])
    clip = table.slice(table.num_rows // 2, 1).to_pylist()[0]
    return {
        "model": "synthetic@default",
        "clip": clip["clip_id"],
        "source by its file name": clip["source"]["name"],
        "source file by its sha256": clip["source"]["file"]["sha256"],
        "manifest by the start of its sha256": dataset.digest[:16],
    }


def _asked(what: str, query: str, run: Path, folder: Path) -> Row:
    """The median of some times, after one that fills the system's caches, with its range."""
    command = [sys.executable, "-m", "veo_core.cli.main", "why", query]
    command += ["--root", str(folder / "store"), "--runs", str(run.parent)]
    times = []
    for _ in range(_TIMES + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    low, median, high = np.quantile(times[1:], (0.025, 0.5, 0.975)).tolist()
    return Row(f"why {what}", median, "s", ci_low=low, ci_high=high, target=_TARGET_SECONDS, op="<=")


if __name__ == "__main__":
    main()
