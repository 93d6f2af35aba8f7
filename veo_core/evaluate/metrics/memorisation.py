"""How many generated clips are copies of training clips."""

from veo_core.evaluate.metrics.declaration import Metric

METRICS = (
    Metric(
        name="memorised",
        says="generated clips that are copies of a training clip",
        unit="share",
        better="lower",
        low=0.0,
        high=1.0,
        needs="training clips and held-out real clips",
        source="veo_core.evaluate.memorise; after Carlini et al. (2301.13188)",
    ),
)
