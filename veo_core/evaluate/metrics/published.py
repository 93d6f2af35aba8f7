"""Metrics of the literature that need published networks: text and picture, and looks of pictures."""

from collections.abc import Callable

from veo_core.evaluate.metrics.declaration import Better, ClipMetric, mean_of, one_each
from veo_core.evaluate.records import ClipScore


def _metric(
    name: str,
    says: str,
    better: Better,
    high: float | None,
    figure: Callable[[ClipScore], float | None],
    needs: str,
    source: str,
    mode: str = "",
) -> ClipMetric:
    return ClipMetric(
        name=name,
        says=says,
        unit="",
        better=better,
        low=0.0,
        high=high,
        tier=2,
        needs=needs,
        source=source,
        estimate=mean_of(figure),
        tally=one_each(figure),
        mode=mode,
    )


_LPIPS = "LPIPS (1801.03924), package lpips"
_LPIPS_NEEDS = "networks.lpips: weights of LPIPS as safetensors, with their sha256"

METRICS = (
    _metric(
        "clip_score",
        "likeness of prompt and pictures, the mean over eight frames or more",
        "higher",
        100.0,
        lambda clip: clip.clip_score,
        "networks.clip: a folder of CLIP in transformers' layout, with the sha256 of its weights",
        "CLIPScore (2104.08718), scaled by 100 as in torchmetrics",
    ),
    _metric(
        "lpips_first_frame",
        "first picture against the given one",
        "lower",
        None,
        lambda clip: clip.lpips_first_frame,
        _LPIPS_NEEDS,
        _LPIPS,
        mode="i2v",
    ),
    _metric(
        "lpips_drift",
        "later pictures against the clip's first",
        "neither",
        None,
        lambda clip: clip.lpips_drift,
        _LPIPS_NEEDS,
        _LPIPS,
    ),
)
