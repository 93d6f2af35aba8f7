"""The two tables that a plan is made from: what stages were measured to cost, and what machines cost."""

from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from veo_core.errors import UsageError
from veo_core.models.sizes import SizeName
from veo_core.records.base import Record, read_yaml

TargetName = Literal["embedded", "kubeflow", "vertex"]
Purchase = Literal["on_demand", "spot"]
Share = NonNegativeFloat

PEAK_FLOPS = {"h100": 989e12, "h200": 989e12, "v5e": 197e12, "v6e": 918e12}
"""Dense bfloat16 FLOP/s of a chip, from its maker's data sheet."""


class CurationStage(Record):
    """Wall seconds of a curation stage over the clips of the measured run."""

    stage: str
    wall_seconds: PositiveFloat
    grows_with: Literal["clips", "footage"]
    parts: bool


class TrainingStage(Record):
    """Wall seconds of a training stage over so many samples, of the model that `part` names."""

    stage: str
    part: str
    wall_seconds: PositiveFloat
    samples: PositiveInt


class FixedStage(Record):
    """Wall seconds of a stage whose work does not grow with the clips."""

    stage: str
    wall_seconds: PositiveFloat


class Encoding(Record):
    """Wall seconds that encoding so many clips into latents took."""

    wall_seconds: PositiveFloat
    clips: PositiveInt


class Cores(Record):
    """The machine that was measured."""

    name: str
    cores: PositiveInt


class Tokens(Record):
    """What the judge was sent and answered, over the clips of the measured run."""

    input: int
    output: int


class Assumed(Record):
    """What no measurement stands behind."""

    model_flops_utilisation: dict[SizeName, PositiveFloat]
    passes: dict[str, PositiveFloat]
    most_samples: dict[str, PositiveFloat]
    start_minutes: dict[TargetName, NonNegativeFloat]
    spot_loss: Share


class Measured(Record):
    """`measured.yaml`."""

    version: Literal[1]
    sources: dict[str, str]
    machine: Cores
    clips: PositiveInt
    clip_seconds: PositiveFloat
    trained_share: Share
    judge_tokens: Tokens
    curation: list[CurationStage]
    prepare_at_512p: PositiveFloat
    training: list[TrainingStage]
    encode_latents: Encoding
    scoring: list[FixedStage]
    assumed: Assumed


class Machine(Record):
    """A machine type: its vCPUs, its accelerators, and dollars an hour where known."""

    cores: PositiveInt
    chip: Literal["h100", "h200", "v5e", "v6e"] | None = None
    chips: int = 0
    on_demand: NonNegativeFloat | None = None
    spot: NonNegativeFloat | None = None
    source: str = ""

    @property
    def peak_flops(self) -> float:
        """FLOP/s of all its accelerators; 0 without any."""
        return PEAK_FLOPS[self.chip] * self.chips if self.chip else 0.0


class Prices(Record):
    """`prices.yaml`, or a user's file of the same form that goes over it."""

    version: Literal[1] = 1
    read: date | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    machines: dict[str, Machine] = Field(default_factory=dict)
    surcharge: dict[TargetName, Share] = Field(default_factory=dict)
    run_fee: dict[TargetName, NonNegativeFloat] = Field(default_factory=dict)

    def machine(self, name: str) -> Machine:
        """The machine type of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self.machines:
            known = ", ".join(sorted(self.machines))
            raise UsageError(
                f"machine type {name!r} is not known: add it with --prices FILE, or take {known}"
            )
        return self.machines[name]

    def hourly(self, name: str, purchase: Purchase) -> float:
        """Dollars of an hour of a machine.

        Raises:
            UsageError: its price is not known.
        """
        price: float | None = getattr(self.machine(name), purchase)
        if price is None:
            raise UsageError(f"no {purchase} price of {name} is known: give it with --prices FILE")
        return price

    def over(self, below: "Prices") -> "Prices":
        """These prices, and those of `below` that they do not name."""
        return Prices(
            read=self.read or below.read,
            sources={**below.sources, **self.sources},
            machines={**below.machines, **self.machines},
            surcharge={**below.surcharge, **self.surcharge},
            run_fee={**below.run_fee, **self.run_fee},
        )


@cache
def measured() -> Measured:
    """The committed measurements."""
    return Measured.parse(_committed("measured.yaml"), where="measured.yaml")


def prices(file: Path | None = None) -> Prices:
    """The committed prices, with those of `file` over them.

    Raises:
        UsageError: the file cannot be read or does not fit.
    """
    committed = Prices.parse(_committed("prices.yaml"), where="prices.yaml")
    return Prices.parse(read_yaml(file), where=str(file)).over(committed) if file else committed


def _committed(name: str) -> object:
    return yaml.safe_load((files("veo_core.plan") / name).read_text(encoding="utf-8"))
