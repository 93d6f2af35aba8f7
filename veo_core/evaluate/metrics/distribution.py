"""Distances between sets of clips."""

from veo_core.evaluate.distances import frechet, frechet_shrunk, gaussian_mmd, polynomial_mmd
from veo_core.evaluate.metrics.declaration import SetMetric

_REAL = "real clips to compare with"
_VIDEO = "networks.video: a network of video features, with its sha256"
_AUDIO = "networks.audio: a network of sound features, with its sha256"

METRICS = (
    SetMetric(
        name="mel_frechet",
        says="Fréchet distance of log-mel spectra from real sounds'",
        unit="",
        better="lower",
        low=0.0,
        high=None,
        needs=_REAL,
        source="Fréchet audio distance (1812.08466) on log-mel statistics, shrunk (Ledoit, Wolf 2004)",
        space="mel",
        distance=frechet_shrunk,
    ),
    SetMetric(
        name="mel_mmd",
        says="kernel distance of log-mel spectra from real sounds'",
        unit="",
        better="lower",
        low=None,
        high=2.0,
        needs=_REAL,
        source="kernel audio distance (2502.15602) on log-mel statistics",
        space="mel",
        distance=gaussian_mmd,
    ),
    SetMetric(
        name="fvd",
        says="Fréchet video distance",
        unit="",
        better="lower",
        low=0.0,
        high=None,
        tier=2,
        needs=_VIDEO,
        source="Unterthiner et al. (1812.01717); the network is named by its digest",
        space="video",
        distance=frechet,
    ),
    SetMetric(
        name="kvd",
        says="kernel video distance",
        unit="",
        better="lower",
        low=None,
        high=None,
        tier=2,
        needs=_VIDEO,
        source="Unterthiner et al. (1812.01717), polynomial kernel (1801.01401)",
        space="video",
        distance=polynomial_mmd,
    ),
    SetMetric(
        name="fad",
        says="Fréchet audio distance",
        unit="",
        better="lower",
        low=0.0,
        high=None,
        tier=2,
        needs=_AUDIO,
        source="Kilgour et al. (1812.08466); the network is named by its digest",
        space="audio",
        distance=frechet,
    ),
    SetMetric(
        name="kad",
        says="kernel audio distance",
        unit="",
        better="lower",
        low=None,
        high=2.0,
        tier=2,
        needs=_AUDIO,
        source="Chung et al. (2502.15602)",
        space="audio",
        distance=gaussian_mmd,
    ),
)
