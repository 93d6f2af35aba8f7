"""Claims of captions that measured facts contradict.

Words that surely speak of sound or motion count, in clauses that do not deny them. What may be something
else (skin tones, a music stand, a person who is seen to speak) does not.
"""

import re
from dataclasses import dataclass

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.clip import Signals

_CLAUSE = re.compile(r"[.;:,!?]|\b(?:but|while|whereas|although|though|then)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:no|not|never|without|none|nothing|neither|nor|silent|silence|silently|soundless|inaudible|muted?|"
    r"motionless|doesn['’]t|don['’]t|isn['’]t|aren['’]t|hardly|barely)\b",
    re.IGNORECASE,
)
_SOUND = re.compile(
    r"\b(?:heard|hears?|hearing(?!\s+aids?)|audible|audibly|listening\s+to\s+the\s+sound|"
    r"sounds?(?!\s+(?:asleep|engineer|wave|equipment|system|stage|barrier|mix|board|like\s+fun))|"
    r"audio(?!\s+(?:equipment|cable|jack|mixer|interface|engineer))|soundtrack|"
    r"(?<!sheet\s)music(?!\s+(?:stand|sheet|note|store|shop|stage|video|festival|room|box))|"
    r"(?:low|high|mid|middle|medium|deep|soft|loud|steady|single|short|long|repeated|beeping|musical|pure|pitched|"
    r"clear|bright|electronic)(?:-pitched)?\s+tones?|tones?\s+(?:plays?|rings?|sounds?|beeps?|on\s+contact)|"
    r"voice(?:over|-over|s)?|narrat(?:or|es|ion|ing)|speech|"
    r"beep(?:s|ing|ed)?|buzz(?:es|ing)|hum(?:s|ming)|rumbl(?:es?|ing)|thuds?|clang(?:s|ing)?|clatter(?:s|ing)?|"
    r"hiss(?:es|ing)?|whirr?(?:s|ing)?|chirp(?:s|ing)?|barking|meow(?:s|ing)?|roar(?:s|ing)|ringing|laughter|"
    r"echo(?:es|ing)?|crackl(?:es?|ing)|"
    r"(?:loud|background|ambient|engine|traffic|street|crowd|constant|faint)\s+noises?)\b",
    re.IGNORECASE,
)
_SILENCE = re.compile(
    r"\b(?:(?:video|clip|footage|scene|film|recording|track|it)\s+(?:is|remains|stays)\s+(?:completely\s+|entirely\s+)?"
    r"(?:silent|soundless|mute[d]?)|(?:silent|soundless)\s+(?:video|clip|footage|film|recording|animation)|"
    r"(?:complete|total|utter|absolute)\s+silence|in\s+silence|no\s+(?:audible\s+)?sounds?|no\s+audio|"
    r"without\s+(?:any\s+)?(?:sound|audio)|nothing\s+(?:is|can\s+be)\s+heard)\b",
    re.IGNORECASE,
)
_MOTION = re.compile(
    r"\b(?:mov(?:es?|ing)|movement|drift(?:s|ing)|slid(?:es|ing)(?!\s+door)|glid(?:es|ing)|bounc(?:es|ing)|"
    r"roll(?:s|ing)(?!\s+(?:pin|hills))|spin(?:s|ning)|rotat(?:es|ing)|flies|flying(?!\s+squirrel)|falling|falls\s+(?:down|off|from|onto|into)|"
    r"runs|running(?!\s+(?:shoes?|track))|walk(?:s|ing)(?!\s+(?:stick|path|frame))|danc(?:es|ing)|jump(?:s|ing)|"
    r"go(?:es|ing)\s+(?:left|right|up|down)|sway(?:s|ing)?|swing(?:s|ing)|pan(?:s|ning)\s+(?:left|right|up|down|across|over)|zoom(?:s|ing)|"
    r"travel(?:s|ling|ing)|accelerat(?:es|ing))\b",
    re.IGNORECASE,
)
_NO_SOUND = re.compile(
    r"^\W*(?:(?:there\s+is\s+)?(?:complete\s+|total\s+)?(?:none|silence|silent|nothing|no\s+(?:audible\s+)?sounds?"
    r"|no\s+audio|inaudible|n/?a)(?:\s+(?:is|can\s+be)\s+heard|\s+at\s+all)?)?\W*$",
    re.IGNORECASE,
)


class ClaimLimits(Record):
    """Measured figures beyond which a claim is wrong. The rule that it breaks stands in brackets."""

    silence: float = Field(
        default=-55.0, description="dBFS below which no sound may be claimed [sound_on_silence]"
    )
    loud: float = Field(
        default=-40.0, description="dBFS above which silence may not be claimed [silence_on_sound]"
    )
    static: float = Field(
        default=0.04, description="change of luma below which no motion may be claimed [motion_on_static]"
    )


@dataclass(frozen=True)
class Contradiction:
    """A claim that a measurement contradicts.

    Attributes:
        rule: name of the rule.
        value: what was measured.
        threshold: the rule's limit.
        claim: the words.
        fact: what is measured, in words for the judge.
    """

    rule: str
    value: float
    threshold: float
    claim: str
    fact: str


def contradiction(
    captions: list[str], sound: str | None, signals: Signals, limits: ClaimLimits
) -> Contradiction | None:
    """The first claim that the measurements contradict, None where they contradict none.

    Args:
        captions: texts that tell what is seen and heard.
        sound: text that tells what is heard alone; None where the judge heard nothing of the clip.
        signals: what was measured.
        limits: from where on it contradicts.
    """
    if signals.loudness < limits.silence:
        heard = [sound] if sound is not None and claims_sound(sound) else []
        heard += [text for text in captions if mentions_sound(text)]
        if heard:
            fact = f"the clip is silent ({signals.loudness:.0f} dBFS)"
            return Contradiction("sound_on_silence", signals.loudness, limits.silence, heard[0], fact)
    if signals.loudness > limits.loud and sound is not None:
        silent = [] if claims_sound(sound) else [f"sound: {sound or 'none'}"]
        silent += [text for text in captions if _SILENCE.search(text)]
        if silent:
            fact = f"the clip has sound ({signals.loudness:.0f} dBFS)"
            return Contradiction("silence_on_sound", signals.loudness, limits.loud, silent[0], fact)
    if signals.motion < limits.static:
        moving = [text for text in captions if mentions_motion(text)]
        if moving:
            fact = "nothing moves in the clip"
            return Contradiction("motion_on_static", signals.motion, limits.static, moving[0], fact)
    return None


def claims_sound(text: str) -> bool:
    """Whether a text about nothing but a clip's sound says that there is any."""
    return _NO_SOUND.match(text) is None


def mentions_sound(text: str) -> bool:
    """Whether a caption says that something is heard."""
    return _affirmed(_SOUND, text)


def mentions_motion(text: str) -> bool:
    """Whether a caption says that something moves."""
    return _affirmed(_MOTION, text)


def _affirmed(claim: re.Pattern[str], text: str) -> bool:
    """Whether a claim is in a clause that does not deny it."""
    return any(claim.search(clause) and not _DENIED.search(clause) for clause in _CLAUSE.split(text))
