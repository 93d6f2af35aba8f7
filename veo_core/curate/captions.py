"""Cleaning of captions that a model wrote."""

import re

_PREFIX = re.compile(
    r"^(?:in\s+)?(?:this|the|a)\s+(?:short\s+)?(?:video|clip|footage|scene|film|sequence|animation)(?:\s+clip)?"
    r"(?:,\s*|\s+(?:shows|depicts|features|captures|displays|presents|contains|begins\s+with|is\s+of)\s+"
    r"(?:us\s+)?)",
    re.IGNORECASE,
)
_WE_SEE = re.compile(r"^(?:we|you)\s+(?:can\s+)?see\s+", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d\s().-]{6,}\d(?!\w)")
_NO_SOUND = re.compile(
    r"^\W*(?:(?:there\s+is\s+)?(?:complete\s+|total\s+)?(?:none|silence|silent|nothing|no\s+(?:audible\s+)?sounds?"
    r"|no\s+audio|inaudible)(?:\s+(?:is|can\s+be)\s+heard|\s+at\s+all)?)?\W*$",
    re.IGNORECASE,
)


def clean_caption(text: str) -> str:
    """A caption in one line, without openings such as "The video shows", e-mails and phone numbers."""
    line = " ".join(text.split())
    shorter = _WE_SEE.sub("", _PREFIX.sub("", line))
    if shorter != line and shorter:
        line = shorter[0].upper() + shorter[1:] if text.strip()[:1].isupper() else shorter
    line = _EMAIL.sub("[e-mail]", line)
    return _PHONE.sub("[phone number]", line)


def claims_sound(text: str) -> bool:
    """Whether a description of a clip's sound says that there is any."""
    return _NO_SOUND.match(text) is None
