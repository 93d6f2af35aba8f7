"""Picture: how it moves, flickers, keeps what it shows, and starts from the image that was given."""

from collections.abc import Callable

from veo_core.evaluate.metrics.declaration import ClipMetric, mean_metric
from veo_core.evaluate.records import ClipScore


def _to_given(name: str, says: str, figure: Callable[[ClipScore], float | None]) -> ClipMetric:
    """A figure of clips that were to start with a picture."""
    return mean_metric(
        name,
        says,
        figure,
        unit="dB",
        better="higher",
        low=0.0,
        high=100.0,
        needs="an image that the clip was to start with",
        source="peak signal-to-noise ratio, 100 for equal pictures",
        mode="i2v",
    )


METRICS = (
    _to_given("first_frame_psnr", "first picture against the given one", lambda clip: clip.first_frame_psnr),
    _to_given(
        "first_frame_codec_psnr",
        "first picture against the given one after the codec",
        lambda clip: clip.first_frame_codec_psnr,
    ),
    _to_given("codec_psnr", "the given picture after the codec against itself", lambda clip: clip.codec_psnr),
    mean_metric(
        "identity",
        "frames that show the clip's usual objects",
        lambda clip: clip.identity,
        unit="share",
        better="higher",
        low=0.0,
        high=1.0,
        needs="objects that the world's detectors see",
        source="veo_core.evaluate.identity; VBench's subject consistency (2311.17982) by detectors",
    ),
    mean_metric(
        "motion",
        "mean difference of consecutive frames",
        lambda clip: clip.motion,
        unit="levels",
        better="neither",
        low=0.0,
        high=255.0,
        source="veo_core.media.signals",
    ),
    mean_metric(
        "flicker",
        "mean distance of a frame from the median of its neighbours and itself",
        lambda clip: clip.flicker,
        unit="levels",
        better="lower",
        low=0.0,
        high=255.0,
        source="veo_core.evaluate.flicker; VBench's temporal flickering (2311.17982), of moving pictures",
    ),
)
