"""Rules on measured signals: no model is asked, and each says what it measured."""

from collections.abc import Callable, Collection
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.clip import Signals

SignalRule = Literal[
    "dark",
    "bright",
    "underexposed",
    "overexposed",
    "static",
    "blurred",
    "burnt_in_text",
    "silent",
    "no_audio",
    "mostly_silent",
    "quiet",
    "clipped_sound",
    "loud",
    "duration_gap",
    "out_of_sync",
]
SIGNAL_RULES: tuple[SignalRule, ...] = get_args(SignalRule)


class Thresholds(Record):
    """Limits of measured signals; a clip beyond one is dropped by the rule named in brackets."""

    min_luma: float = Field(default=12.0, description="mean luma, 0 to 255 [dark]")
    max_luma: float = Field(default=225.0, description="mean luma, 0 to 255 [bright]")
    max_underexposed: float = Field(default=0.98, description="share at levels up to 16 [underexposed]")
    max_overexposed: float = Field(default=0.9, description="share at levels from 239 on [overexposed]")
    min_motion: float = Field(default=0.04, description="mean change of luma between frames [static]")
    min_sharpness: float = Field(default=0.59, description="fine variation, 0 to 1 [blurred]")
    max_text: float = Field(
        default=0.2,
        description="score of burnt-in text, 0 to 1; bright still things score too [burnt_in_text]",
    )
    min_loudness: float = Field(default=-55.0, description="dBFS [silent]")
    max_silence: float = Field(default=0.98, description="share of the time below -60 dBFS [mostly_silent]")
    min_lufs: float = Field(default=-60.0, description="integrated loudness, LUFS [quiet]")
    max_lufs: float = Field(default=-3.0, description="integrated loudness, LUFS [loud]")
    max_clipped: float = Field(default=0.002, description="share of samples at full scale [clipped_sound]")
    max_duration_gap: float = Field(
        default=0.5, description="seconds by which sound and picture differ in length [duration_gap]"
    )
    max_sync: float = Field(default=0.12, description="seconds of lag either way [out_of_sync]")


class Broken(NamedTuple):
    """A rule that a clip breaks, what was measured and what is allowed."""

    rule: SignalRule
    value: float
    threshold: float


def broken_rule(signals: Signals, limits: Thresholds, rules: Collection[str]) -> Broken | None:
    """The first of the named rules that the signals break."""
    for rule, measure, limit, is_bad in _RULES:
        if rule not in rules:
            continue
        value, threshold = measure(signals), limit(limits)
        if value is not None and is_bad(value, threshold):
            return Broken(rule, value, threshold)
    return None


def _below(value: float, limit: float) -> bool:
    return value < limit


def _above(value: float, limit: float) -> bool:
    return value > limit


def _beyond(value: float, limit: float) -> bool:
    return abs(value) > limit


_Rule = tuple[
    SignalRule,
    Callable[[Signals], float | None],
    Callable[[Thresholds], float],
    Callable[[float, float], bool],
]
_RULES: tuple[_Rule, ...] = (
    ("dark", lambda s: s.luma, lambda t: t.min_luma, _below),
    ("bright", lambda s: s.luma, lambda t: t.max_luma, _above),
    ("underexposed", lambda s: s.underexposed, lambda t: t.max_underexposed, _above),
    ("overexposed", lambda s: s.overexposed, lambda t: t.max_overexposed, _above),
    ("static", lambda s: s.motion, lambda t: t.min_motion, _below),
    ("blurred", lambda s: s.sharpness, lambda t: t.min_sharpness, _below),
    ("burnt_in_text", lambda s: s.text, lambda t: t.max_text, _above),
    ("silent", lambda s: s.loudness, lambda t: t.min_loudness, _below),
    ("no_audio", lambda s: float(s.has_audio), lambda t: 1.0, _below),
    ("mostly_silent", lambda s: s.silence, lambda t: t.max_silence, _above),
    ("quiet", lambda s: s.lufs, lambda t: t.min_lufs, _below),
    ("clipped_sound", lambda s: s.clipped, lambda t: t.max_clipped, _above),
    ("loud", lambda s: s.lufs, lambda t: t.max_lufs, _above),
    ("duration_gap", lambda s: s.duration_gap, lambda t: t.max_duration_gap, _beyond),
    ("out_of_sync", lambda s: s.sync, lambda t: t.max_sync, _beyond),
)
