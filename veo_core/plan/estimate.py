"""What a run takes and costs on a target: its work, placed on machines that have a price."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.models.sizes import SIZES, SizeName
from veo_core.plan.tables import Measured, Prices, Purchase, TargetName, measured, prices
from veo_core.plan.workload import AcceleratedWork, Work, workload
from veo_core.records.base import Record

Basis = Literal["measured", "modelled", "listed"]
T = TypeVar("T")
FOOTAGE_SECONDS = 5.0
"""Seconds of a clip of real footage, as the preset `footage` cuts them."""


class Pool(Record):
    """So many machines of one type, on demand or spot."""

    machine: str
    count: int = Field(default=1, ge=1)
    purchase: Purchase = "on_demand"

    @classmethod
    def parse_choice(cls, text: str) -> "Pool":
        """Read `[COUNTx]MACHINE[:spot]`, such as "4xct6e-standard-4t:spot".

        Raises:
            UsageError: it is not of that form.
        """
        match = re.fullmatch(r"(?:([1-9][0-9]*)x)?([a-z][a-z0-9-]*)(:spot)?", text)
        if match is None:
            raise UsageError(f"{text!r} is no choice of machines: give [COUNTx]MACHINE[:spot]")
        count, machine, spot = match.groups()
        return cls(machine=machine, count=int(count or 1), purchase="spot" if spot else "on_demand")

    def __str__(self) -> str:
        return f"{self.count} x {self.machine}" + (" spot" if self.purchase == "spot" else "")


CPU_POOL = Pool(machine="n2-standard-16", count=16, purchase="spot")
ACCELERATOR_POOL = Pool(machine="ct6e-standard-4t", count=4, purchase="spot")


class Row(Record):
    """A stage: hours on the clock, hours of machines, dollars, and what its figures rest on.

    `measured`: figures of this stage on such footage on a CPU, multiplied. `modelled`: counted operations at
    an assumed share of an accelerator's peak, or figures of smaller footage. `listed`: a fee.
    """

    stage: str
    machines: str
    hours: float
    machine_hours: float
    dollars: float
    basis: Basis


class Estimate(Record):
    """A run's table. Steps run one after another, so that the hours are the longest they can be."""

    clips: int
    target: TargetName
    size: SizeName
    seconds: float
    rows: list[Row]
    judge_input_tokens: float
    judge_output_tokens: float
    notes: list[str]

    @property
    def hours(self) -> float:
        return sum(row.hours for row in self.rows)

    @property
    def machine_hours(self) -> float:
        return sum(row.machine_hours for row in self.rows)

    @property
    def dollars(self) -> float:
        return sum(row.dollars for row in self.rows)

    def __str__(self) -> str:
        widths = max(len(row.machines) for row in self.rows)
        head = f"{'stage':<18}{'machines':<{widths}}{'hours':>12}{'machine-h':>14}{'dollars':>14}  basis"
        lines = [f"{row.stage:<18}{row.machines:<{widths}}{_figures(row)}  {row.basis}" for row in self.rows]
        total = f"{'all':<18}{'':<{widths}}{_figures(self)}"
        title = f"{self.clips:,} clips of {self.seconds:g} s on {self.target}, size {self.size}"
        return "\n".join([title, "", head, *lines, total, "", *self.notes])


def _figures(row: Row | Estimate) -> str:
    return f"{row.hours:>12,.2f}{row.machine_hours:>14,.2f}{row.dollars:>14,.2f}"


def estimate(
    clips: int,
    target: str,
    *,
    size: str = "world",
    seconds: float | None = None,
    cpu: Pool = CPU_POOL,
    accelerator: Pool = ACCELERATOR_POOL,
    prices_file: Path | None = None,
) -> Estimate:
    """Estimate a run from collecting footage to registering the model.

    Args:
        clips: clips of footage that go in.
        target: embedded (the measured machine, which costs nothing), kubeflow or vertex.
        size: world, small or large.
        seconds: of footage in a clip; by default those of the measured run for size world, else 5.
        cpu: machines of curation; `parts` of the pipeline.
        accelerator: machines of training.
        prices_file: prices that go over the committed ones.

    Raises:
        UsageError: a target, size, machine type or price is not known, or a number is out of range.
    """
    if clips < 1:
        raise UsageError(f"{clips} clips: must be at least 1")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise UsageError(f"{seconds} seconds a clip: must be above 0")
    where: TargetName = _one_of(target, get_args(TargetName), "target")
    of_size: SizeName = _one_of(size, SIZES, "size")
    table = measured()
    length = seconds or (table.clip_seconds if of_size == "world" else FOOTAGE_SECONDS)
    works = workload(clips, of_size, length, table)
    if where == "embedded":
        rows = [_on_measured_machine(work, of_size, table) for work in works]
    else:
        paid = _Paid(where, of_size, prices(prices_file), table)
        rows = [*(paid.row(work, cpu, accelerator) for work in works), *paid.fees()]
    return Estimate(
        clips=clips,
        target=where,
        size=of_size,
        seconds=length,
        rows=rows,
        judge_input_tokens=clips * table.judge_tokens.input / table.clips,
        judge_output_tokens=clips * table.judge_tokens.output / table.clips,
        notes=_notes(clips, where, of_size, table),
    )


def _one_of(name: str, known: Iterable[T], what: str) -> T:
    for candidate in known:
        if candidate == name:
            return candidate
    raise UsageError(f"{what} {name!r} is not known: give one of {', '.join(map(str, known))}")


def _on_measured_machine(work: Work, size: SizeName, table: Measured) -> Row:
    if isinstance(work, AcceleratedWork):
        hours, measured_so = work.seconds / 3600, size == "world"
    else:
        hours, measured_so = work.core_seconds / table.machine.cores / 3600, work.measured
    return Row(
        stage=work.stage,
        machines=table.machine.name,
        hours=hours,
        machine_hours=hours,
        dollars=0.0,
        basis="measured" if measured_so else "modelled",
    )


class _Paid:
    """Places work on machines that are paid for by the hour."""

    def __init__(self, target: TargetName, size: SizeName, book: Prices, table: Measured) -> None:
        self._target, self._prices, self._assumed = target, book, table.assumed
        self._utilisation = table.assumed.model_flops_utilisation[size]

    def row(self, work: Work, cpu: Pool, accelerator: Pool) -> Row:
        if isinstance(work, AcceleratedWork):
            return self._accelerated(work, accelerator)
        pool = cpu if work.parts else cpu.model_copy(update={"count": 1})
        cores = self._prices.machine(pool.machine).cores * pool.count
        basis: Basis = "measured" if work.measured else "modelled"
        return self._priced(work.stage, pool, work.core_seconds / cores, basis)

    def _accelerated(self, work: AcceleratedWork, pool: Pool) -> Row:
        peak = self._prices.machine(pool.machine).peak_flops * pool.count
        if not peak:
            raise UsageError(f"{pool.machine} has no accelerator: choose another with --choice")
        return self._priced(work.stage, pool, work.flops / (peak * self._utilisation), "modelled")

    def _priced(self, stage: str, pool: Pool, seconds: float, basis: Basis) -> Row:
        again = self._assumed.spot_loss if pool.purchase == "spot" else 0.0
        hours = seconds * (1 + again) / 3600 + self._assumed.start_minutes[self._target] / 60
        price = self._prices.hourly(pool.machine, pool.purchase)
        dearer = 1 + self._prices.surcharge.get(self._target, 0.0)
        return Row(
            stage=stage,
            machines=str(pool),
            hours=hours,
            machine_hours=hours * pool.count,
            dollars=hours * pool.count * price * dearer,
            basis=basis,
        )

    def fees(self) -> list[Row]:
        fee = self._prices.run_fee.get(self._target, 0.0)
        row = Row(stage="pipeline run", machines="", hours=0, machine_hours=0, dollars=fee, basis="listed")
        return [row] if fee else []


def _notes(clips: int, target: TargetName, size: SizeName, table: Measured) -> list[str]:
    asked, answered = (
        clips * tokens / table.clips / 1e6 for tokens in (table.judge_tokens.input, table.judge_tokens.output)
    )
    share = table.assumed.model_flops_utilisation[size]
    modelled = [
        "counted FLOPs at the rate of the measured cores"
        if target == "embedded"
        else f"counted FLOPs at {share:.0%} of the accelerator's bfloat16 peak, which is assumed"
    ]
    if size != "world":
        modelled.append("curation at the rate of the world's smaller footage")
    lines = [
        "measured: the stage on such footage on two Xeon cores, multiplied; a vCPU counts as one such core.",
        f"modelled: {'; '.join(modelled)}.",
        f"Not in it: the judge ({asked:,.1f} M tokens in, {answered:,.1f} M out), waiting for it, "
        "storage, network.",
    ]
    if target == "vertex":
        lines.append("Vertex AI bills machines above Compute Engine: set surcharge.vertex in --prices FILE.")
    return lines
