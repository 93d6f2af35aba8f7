"""Timing of sound and picture: contacts against tones, and peaks of motion against onsets."""

from collections.abc import Callable, Sequence

import numpy as np

from veo_core.evaluate.alignment import overlap
from veo_core.evaluate.intervals import Estimate, bootstrap_mean, clustered_share, grouped
from veo_core.evaluate.metrics.declaration import (
    Better,
    ClipMetric,
    Clips,
    Tally,
    mean_of,
    median_of,
    one_each,
    prompt_of,
)
from veo_core.evaluate.records import ClipScore
from veo_core.evaluate.sync import exchange, match_events
from veo_core.media.sync import lag

TOLERANCE = 0.1
"""Seconds by which a sound may miss its contact."""

_FURTHEST = 0.6
_ROUNDS = 4
_CONTACTS = (
    "veo_core.evaluate.sync, after AV-Align (2309.16429): one-to-one, of the world's contacts and tones"
)


def _playable(clips: Clips) -> list[ClipScore]:
    return [clip for clip in clips if not clip.problem]


def _with_other_sounds(clips: Clips, seed: int) -> list[ClipScore]:
    """Each clip's picture with the sound of another."""
    own = _playable(clips)
    return [
        own[i].model_copy(update={"onsets": own[j].onsets, "sound_onsets": own[j].sound_onsets})
        for i, j in exchange(len(own), rounds=_ROUNDS, seed=seed)
    ]


def _of_playable(
    name: str,
    says: str,
    unit: str,
    better: Better,
    bounds: tuple[float, float | None],
    estimate: Callable[[Clips, int], Estimate],
    tally: Tally,
    *,
    source: str = _CONTACTS,
    needs: str = "clips in which the world's objects touch walls",
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
        estimate=lambda clips, seed: estimate(_playable(clips), seed),
        tally=lambda clip: None if clip.problem else tally(clip),
        control=lambda clips, seed: estimate(_with_other_sounds(clips, seed), seed),
    )


def _share_of(tally: Tally) -> Callable[[Clips, int], Estimate]:
    """The share of all clips' events together."""

    def share(clips: Clips, seed: int) -> Estimate:
        pairs = [tally(clip) or (0.0, 0.0) for clip in clips]
        sums = grouped(pairs, [prompt_of(clip) for clip in clips])
        return clustered_share([round(hits) for hits, _ in sums], [round(total) for _, total in sums])

    return share


def _matched(tolerance: float) -> Tally:
    def tally(clip: ClipScore) -> tuple[float, float] | None:
        if not clip.contacts:
            return None
        return float(len(match_events(clip.contacts, clip.onsets, tolerance))), float(len(clip.contacts))

    return tally


def _error(clip: ClipScore) -> float | None:
    matches = match_events(clip.contacts, clip.onsets, TOLERANCE)
    return float(np.median([abs(match.error) for match in matches])) if matches else None


def _lag(clip: ClipScore) -> float | None:
    onsets, contacts = np.asarray(clip.onsets), np.asarray(clip.contacts)
    return lag(onsets, contacts, tolerance=TOLERANCE / 2, furthest=_FURTHEST)


def _false_onsets(clip: ClipScore) -> float:
    return float(len(clip.onsets) - len(match_events(clip.contacts, clip.onsets, TOLERANCE)))


def _contacts(clip: ClipScore) -> float:
    return float(len(clip.contacts))


def _aligned(clip: ClipScore) -> tuple[float, float] | None:
    if clip.fps is None or not (clip.motion_peaks or clip.sound_onsets):
        return None
    matched, union = overlap(clip.motion_peaks, clip.sound_onsets, 1.0 / clip.fps)
    return matched / union, 1.0


def _mean_overlap(clips: Clips, seed: int) -> Estimate:
    found = [(pair[0], prompt_of(clip)) for clip in clips if (pair := _aligned(clip)) is not None]
    return bootstrap_mean([value for value, _ in found], seed=seed, clusters=[prompt for _, prompt in found])


def _shares() -> Sequence[ClipMetric]:
    return [
        _of_playable(
            f"sync_share_{round(1e3 * tolerance)}ms",
            f"contacts with a tone within {round(1e3 * tolerance)} ms",
            "share",
            "higher",
            (0.0, 1.0),
            _share_of(_matched(tolerance)),
            _matched(tolerance),
        )
        for tolerance in (0.05, TOLERANCE)
    ]


METRICS = (
    *_shares(),
    _of_playable(
        "sync_error",
        "median error of tones within 100 ms of a contact",
        "s",
        "lower",
        (0.0, TOLERANCE),
        median_of(_error),
        one_each(_error),
    ),
    _of_playable(
        "sync_lag",
        "median time by which sound comes after picture",
        "s",
        "neither",
        (-_FURTHEST, _FURTHEST),
        median_of(_lag),
        one_each(_lag),
    ),
    _of_playable(
        "false_onsets",
        "tones without a contact",
        "per clip",
        "lower",
        (0.0, None),
        mean_of(_false_onsets),
        one_each(_false_onsets),
    ),
    _of_playable(
        "contacts",
        "contacts seen",
        "per clip",
        "neither",
        (0.0, None),
        mean_of(_contacts),
        one_each(_contacts),
    ),
    _of_playable(
        "av_align",
        "peaks of motion and onsets that match within a frame, of all of both",
        "share",
        "higher",
        (0.0, 1.0),
        _mean_overlap,
        _aligned,
        source="AV-Align, TempoTokens (2309.16429), matched one to one",
        needs="",
    ),
)
