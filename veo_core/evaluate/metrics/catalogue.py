"""Every metric, in the order in which summaries list them."""

from veo_core.evaluate.metrics import (
    distribution,
    following,
    memorisation,
    picture,
    published,
    reconstruction,
    sound,
    sync,
)
from veo_core.evaluate.metrics.declaration import ClipMetric, Metric, SetMetric

CLIP_METRICS: tuple[ClipMetric, ...] = (
    *following.METRICS,
    *(metric for metric in sound.METRICS if metric.name == "playable_with_sound"),
    *sync.METRICS,
    *picture.METRICS,
    *(metric for metric in sound.METRICS if metric.name != "playable_with_sound"),
    *published.METRICS,
)
SET_METRICS: tuple[SetMetric, ...] = distribution.METRICS
OTHER_METRICS: tuple[Metric, ...] = (*reconstruction.METRICS, *memorisation.METRICS)
METRICS: tuple[Metric, ...] = (*CLIP_METRICS, *SET_METRICS, *OTHER_METRICS)

BY_NAME = {metric.name: metric for metric in METRICS}


def listing() -> str:
    """All metrics as a table of plain text, with what each declares."""
    rows = [("METRIC", "TIER", "UNIT", "BETTER", "RANGE", "WHAT", "NEEDS", "SOURCE")]
    rows += [
        (m.name, str(m.tier), m.unit or "-", m.better, _range(m), m.says, m.needs or "-", m.source)
        for m in METRICS
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _range(metric: Metric) -> str:
    low = "-inf" if metric.low is None else f"{metric.low:g}"
    high = "inf" if metric.high is None else f"{metric.high:g}"
    return f"{low}..{high}"
