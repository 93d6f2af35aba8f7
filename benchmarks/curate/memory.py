"""Peak memory of each stage, with few clips and with ten times as many."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curate.chain import STAGES, Chain, configs, end
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.world.truth import WorldSpec

FLAT = 1.3
_EVERY = 0.05  # seconds between looks at the processes
_MEGABYTE = 1 << 20


@dataclass
class Peak:
    """Largest resident set of a command's own process and of any of its children, bytes."""

    main: int = 0
    child: int = 0


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Small clips, so that filming them is cheap; none of them is dropped."""
    few, many = (60, 600) if quick else (500, 5000)
    peaks: dict[int, dict[str, Peak]] = {}
    with JudgeProcess(folder) as judge:
        for clips in (few, many):
            chain = chain_of_small_clips(folder / str(clips), clips, seed, judge.url)
            peaks[clips] = {stage: peak_of(chain, stage) for stage in STAGES}
            kept = chain.manifest("package").rows
            yield Row(f"clips that pass all stages, of {clips}", kept / clips, "share", target=0.9)
    for stage in STAGES:
        small, large = peaks[few][stage], peaks[many][stage]
        yield Row(f"{stage}: peak at {many} clips", large.main / _MEGABYTE, "MiB")
        if large.child:
            yield Row(f"{stage}: peak of a worker at {many} clips", large.child / _MEGABYTE, "MiB")
        ratio = large.main / small.main
        yield Row(f"{stage}: peak at {many} against {few} clips", ratio, "times", target=FLAT, op="<=")


def chain_of_small_clips(folder: Path, clips: int, seed: int, judge: str) -> Chain:
    """Curation of clips of 64 pixels and 8 frames a second, without a flaw."""
    world = WorldSpec(clips=clips, seed=seed, width=64, height=64, fps=8.0)
    return Chain(folder, configs(world, LENIENT), judge)


# Footage this small is not sharp, and its fast things turn round between frames.
LENIENT = {"quality_filter": {"thresholds": {"min_sharpness": 0.0, "max_sync": 10.0, "max_text": 1.0}}}


def peak_of(chain: Chain, stage: str) -> Peak:
    """Run a stage, and watch its processes."""
    process = chain.start(stage)
    peak = Peak()
    try:
        while process.poll() is None:
            _look(process, peak)
            time.sleep(_EVERY)
    finally:
        end(process)
    chain.check(stage, process.returncode)
    return peak


def _look(process: subprocess.Popen[bytes], peak: Peak) -> None:
    """Raise `peak` to what the processes have used at most (proc(5): VmHWM)."""
    peak.main = max(peak.main, _high_water(process.pid))
    for child in _children(process):
        peak.child = max(peak.child, _high_water(child))


def _high_water(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def _children(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """The other processes of a command's session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != process.pid:
            with suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == process.pid:
                    yield int(entry.name)
