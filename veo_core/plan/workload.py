"""How much work a run is: core-seconds of its curation, FLOPs of its training."""

from dataclasses import dataclass
from functools import cache

from veo_core.models.describe import Cascade, describe
from veo_core.models.sizes import SIZES, SizeName
from veo_core.plan.tables import Measured, TrainingStage


@dataclass(frozen=True)
class CpuWork:
    """A stage on machines without accelerators.

    Attributes:
        core_seconds: on cores like the measured ones.
        parts: whether several machines can share it.
        measured: whether this stage was measured on such footage.
    """

    stage: str
    core_seconds: float
    parts: bool
    measured: bool


@dataclass(frozen=True)
class AcceleratedWork:
    """A stage that runs on an accelerator where there is one.

    Attributes:
        flops: operations of the model.
        seconds: on the measured machine, which has none.
    """

    stage: str
    flops: float
    seconds: float


Work = CpuWork | AcceleratedWork


def workload(clips: int, size: SizeName, seconds: float, table: Measured) -> list[Work]:
    """The stages of a run in order.

    Args:
        clips: clips of footage that go in.
        size: how large the model is.
        seconds: of footage in a clip.
    """
    return [*_curation(clips, size, seconds, table), *_training(clips, size, table), *_scoring(size, table)]


def _curation(clips: int, size: SizeName, seconds: float, table: Measured) -> list[Work]:
    works: list[Work] = []
    for row in table.curation:
        longer = seconds / table.clip_seconds if row.grows_with == "footage" else 1.0
        each = row.wall_seconds * table.machine.cores / table.clips * longer
        if row.stage == "prepare" and size != "world":
            each = table.prepare_at_512p * seconds
        measured = size == "world" or row.stage == "prepare"
        works.append(CpuWork(row.stage, clips * each, row.parts, measured))
    return works


def _training(clips: int, size: SizeName, table: Measured) -> list[Work]:
    stages = {row.stage: row for row in table.training}
    video = stages["train-video-vae"]
    trained = clips * table.trained_share
    encoding = table.encode_latents.wall_seconds / table.encode_latents.clips * trained
    works: list[Work] = [_trained(row, trained, size, table) for row in table.training]
    works.insert(2, _alike("encode-latents", encoding, video, size))
    return works


def _trained(row: TrainingStage, trained: float, size: SizeName, table: Measured) -> AcceleratedWork:
    """A clip is seen so many times; samples are no fewer than the measured run's, no more than needed."""
    wanted = trained * table.assumed.passes[row.stage]
    samples = min(max(wanted, row.samples), table.assumed.most_samples[row.stage])
    return _alike(row.stage, row.wall_seconds * samples / row.samples, row, size)


def _scoring(size: SizeName, table: Measured) -> list[Work]:
    base = next(row for row in table.training if row.stage == "train-base")
    return [
        _alike(row.stage, row.wall_seconds, base, size)
        if row.stage == "generate"
        else CpuWork(row.stage, row.wall_seconds * table.machine.cores, parts=False, measured=size == "world")
        for row in table.scoring
    ]


def _alike(stage: str, world_seconds: float, like: TrainingStage, size: SizeName) -> AcceleratedWork:
    """Work that takes `world_seconds` at size `world`, at the rate and with the model of a training stage."""
    world, wanted = training_flops("world")[like.part], training_flops(size)[like.part]
    rate = world * like.samples / like.wall_seconds
    return AcceleratedWork(stage, world_seconds * rate * wanted / world, world_seconds * wanted / world)


@cache
def training_flops(size: SizeName) -> dict[str, int]:
    """FLOPs of a training step on one clip, by the name of the model, as `veo model describe` counts them."""
    chosen = SIZES[size]
    cascade = Cascade(chosen.video_vae, chosen.audio_vae, chosen.transformer(), chosen.upsampler())
    return {part.name: part.training_flops for part in describe(cascade).parts}
