"""Picture: how it moves, flickers, keeps what it shows, and starts from the image that was given."""

from collections.abc import Callable

from veo_core.evaluate.metrics.declaration import Better, ClipMetric, mean_of, one_each
from veo_core.evaluate.records import ClipScore


def _metric(
    name: str,
    says: str,
    unit: str,
    better: Better,
    bounds: tuple[float, float],
    figure: Callable[[ClipScore], float | None],
    source: str,
    *,
    needs: str = "",
    mode: str = "",
) -> ClipMetric:
    return ClipMetric(
        name=name,
        says=says,
        unit=unit,
        better=better,
        low=bounds[0],
        high=bounds[1],
        source=source,
        needs=needs,
        estimate=mean_of(figure),
        tally=one_each(figure),
        mode=mode,
    )


_PSNR = "peak signal-to-noise ratio, 100 for equal pictures"
_GIVEN = "an image that the clip was to start with"

METRICS = (
    _metric(
        "first_frame_psnr",
        "first picture against the given one",
        "dB",
        "higher",
        (0.0, 100.0),
        lambda clip: clip.first_frame_psnr,
        _PSNR,
        needs=_GIVEN,
        mode="i2v",
    ),
    _metric(
        "first_frame_codec_psnr",
        "first picture against the given one after the codec",
        "dB",
        "higher",
        (0.0, 100.0),
        lambda clip: clip.first_frame_codec_psnr,
        _PSNR,
        needs=_GIVEN,
        mode="i2v",
    ),
    _metric(
        "codec_psnr",
        "the given picture after the codec against itself",
        "dB",
        "higher",
        (0.0, 100.0),
        lambda clip: clip.codec_psnr,
        _PSNR,
        needs=_GIVEN,
        mode="i2v",
    ),
    _metric(
        "identity",
        "frames that show the clip's usual objects",
        "share",
        "higher",
        (0.0, 1.0),
        lambda clip: clip.identity,
        "veo_core.evaluate.identity; VBench's subject consistency (2311.17982) with detectors for features",
        needs="objects that the world's detectors see",
    ),
    _metric(
        "motion",
        "mean difference of consecutive frames",
        "levels",
        "neither",
        (0.0, 255.0),
        lambda clip: clip.motion,
        "veo_core.media.signals",
    ),
    _metric(
        "flicker",
        "mean distance of a frame from the median of its neighbours and itself",
        "levels",
        "lower",
        (0.0, 255.0),
        lambda clip: clip.flicker,
        "veo_core.evaluate.flicker; VBench's temporal flickering (2311.17982), for pictures that may move",
    ),
)
