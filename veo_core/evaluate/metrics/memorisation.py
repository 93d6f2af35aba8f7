"""How many generated clips are copies of training clips, and among how many of those they were looked for."""

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
    Metric(
        name="memorised_searched",
        says="training clips that were searched, less those unreadable or beyond evaluate.training_clips",
        unit="share",
        better="higher",
        low=0.0,
        high=1.0,
        needs="training clips",
        source="counted, of all training clips",
    ),
)
