"""The table that a benchmark prints, and the rows that it writes."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

RESULTS = Path(__file__).parent / "results"


@dataclass
class Row:
    """A measured figure with its 95 % interval, its target, and the same work done by an alternative."""

    metric: str
    value: float
    unit: str
    ci_low: float | None = None
    ci_high: float | None = None
    target: float | None = None
    op: Literal[">=", "<="] = ">="
    baseline: float | None = None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.op == ">=" else self.value <= self.target


def seed(default: int) -> int:
    """`SEED` of the environment, so that a benchmark can be repeated on inputs never used before."""
    chosen = number("SEED")
    return default if chosen is None else chosen


def number(name: str) -> int | None:
    """The whole number in a variable of the environment, None where it is not set; ends the program in one
    line where it holds something else.
    """
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        sys.exit(f"error: {name}={text}: not a whole number")
    return int(text) if text else None


def quick() -> bool:
    """Whether `QUICK=1` asks for a shorter run."""
    return os.environ.get("QUICK", "") not in ("", "0")


def machine() -> str:
    """What the figures were measured on, in words."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{len(os.sched_getaffinity(0))} x {model}"


def publish(name: str, rows: list[Row], *, used_seed: int, section: str | None = None) -> Path:
    """Print the rows as a table and write them to `results/NAME.json`.

    With `section` the rows replace those of that section; those of other sections stay in the file.
    """
    width = max(len(row.metric) for row in rows)
    title = name if section is None else f"{name} {section}"
    print(f"{title}: seed {used_seed}, {machine()}")
    for row in rows:
        interval = "" if row.ci_low is None else f"[{row.ci_low:.4g}, {row.ci_high:.4g}]"
        target = "" if row.target is None else f"{row.op} {row.target:g}: {'met' if row.met else 'MISSED'}"
        baseline = "" if row.baseline is None else f"alternative {row.baseline:.4g}"
        figure = f"{row.metric:<{width}}  {row.value:>10.4g} {row.unit:<10}"
        print(f"  {figure} {interval:<18} {target} {baseline}".rstrip(), flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    values = [asdict(row) | {"met": row.met, "seed": used_seed, "machine": machine()} for row in rows]
    if section is not None:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        others = [value for value in before if value.get("section") not in (None, section)]
        values = others + [{"section": section} | value for value in values]
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path
