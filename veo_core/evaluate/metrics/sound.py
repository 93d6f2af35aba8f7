"""Sound: whether there is any, how loud it is, whether it clips."""

from veo_core.evaluate.intervals import Estimate, share
from veo_core.evaluate.metrics.declaration import ClipMetric, Clips, mean_metric, prompt_of
from veo_core.evaluate.records import ClipScore


def _plays(clip: ClipScore) -> bool:
    return not clip.problem and clip.loudness is not None


def _playable(clips: Clips, seed: int) -> Estimate:
    return share([_plays(clip) for clip in clips], [prompt_of(clip) for clip in clips])


METRICS = (
    ClipMetric(
        name="playable_with_sound",
        says="clips that decode whole and have a sound track",
        unit="share",
        better="higher",
        low=0.0,
        high=1.0,
        source="veo_core.media.decode",
        estimate=_playable,
        tally=lambda clip: (float(_plays(clip)), 1.0),
    ),
    mean_metric(
        "loudness",
        "root mean square of the sound",
        lambda clip: clip.loudness,
        unit="dBFS",
        better="neither",
        low=-120.0,
        high=0.0,
        source="veo_core.media.sound",
    ),
    mean_metric(
        "clipped",
        "samples at 95 % of full scale or beyond",
        lambda clip: clip.clipped,
        unit="share",
        better="lower",
        low=0.0,
        high=1.0,
        source="veo_core.media.sound",
    ),
)
