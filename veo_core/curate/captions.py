"""Cleaning of captions that a model wrote: openings that speak of the video instead of the scene."""

import re

_KIND = (
    r"(?:(?:short|brief|given|provided|following|entire|whole|same|present|animated|looping|silent|black-and-white)"
    r"\s+)*(?:video|clip|footage|scene|film|sequence|animation|recording|image|picture|frame|shot)s?"
    r"(?:\s+(?:clip|footage|sequence|recording|frame|segment)s?)?"
)
_THE = r"(?:this|these|the|a|an|each|our)\s+"
_SHOWS = (
    r"(?:(?:appears?|seems?)\s+to\s+|clearly\s+|mainly\s+|primarily\s+|simply\s+|then\s+|also\s+)?"
    r"(?:shows?|showing|depicts?|depicting|features?|featuring|captures?|capturing|displays?|displaying|"
    r"presents?|presenting|contains?|containing|portrays?|portraying|illustrates?|showcases?|showcasing|"
    r"highlights?|documents?|reveals?|focus(?:es)?\s+on|centers?\s+on|centres?\s+on|consists?\s+of|"
    r"(?:begins?|opens?|starts?)\s+(?:with|on|by\s+showing)|provides?\s+a\s+view\s+of|offers?\s+a\s+view\s+of|"
    r"is\s+(?:of|about)|are\s+of)(?:\s+us)?\s+"
)
_SEE = (
    r"(?:we|you|one|viewers?|the\s+viewer)\s+(?:can\s+|could\s+|may\s+)?(?:sees?|observes?|watch(?:es)?)\s+"
)

_OPENINGS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(?:sure|certainly|of course|okay|ok)\s*[!,.:]+\s*",
        r"^here(?:['’]s|\s+is)\s+(?:a|the|your)\s+[\w\s-]{0,40}?(?:caption|description|summary)[^:]{0,40}:\s*",
        r"^\W*(?:(?:long|short|video|detailed|brief)\s+)*(?:caption|description|summary)\W*:[\s*]*",
        rf"^{_THE}{_KIND},?\s+{_SHOWS}",
        r"^(?:the\s+)?camera\s+(?:shows|captures|reveals)\s+",
        rf"^(?:{_KIND})\s+(?:showing|depicting|featuring|capturing)\s+",
        rf"^this\s+is\s+(?:(?:an?|the|some)\s+)?{_KIND}\s+of\s+",
        rf"^this\s+is\s+(?:an?|the)\s+{_KIND}\s+(?:that\s+|which\s+)?{_SHOWS}",
        rf"^(?:in|throughout|during|within)\s+{_THE}{_KIND}(?:,\s*|\s+(?={_SEE}|(?:there|an?|the|two|three|several)\b))",
        rf"^(?:as|when)\s+{_THE}{_KIND}\s+(?:begins|opens|starts|plays),\s*",
        rf"^at\s+the\s+(?:beginning|start|end)\s+of\s+{_THE}{_KIND},\s*",
        rf"^(?:here,?\s+)?{_SEE}",
        r"^what\s+(?:we|you)\s+see\s+(?:here\s+)?is\s+",
        r"^there\s+is\s+(?:an?\s+)?(?:video|clip|footage)\s+of\s+",
    )
]
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}


def clean_caption(text: str) -> str:
    """A caption in one line, without quotes or stars around it or openings such as "The video shows".

    "A video of a circle" stays as it is: it is how a prompt may begin, too. So does a caption that is
    nothing but an opening.
    """
    line = _bare(" ".join(text.split()))
    capital = line[:1].isupper()
    shorter = _shortened(line)
    if shorter != line and shorter:
        line = shorter[0].upper() + shorter[1:] if capital else shorter
    return line


def _bare(line: str) -> str:
    line = line.strip("*_# ")
    if len(line) > 1 and _QUOTES.get(line[0]) == line[-1] and line[0] not in line[1:-1]:
        line = line[1:-1].strip()
    return line


def _shortened(line: str) -> str:
    before = ""
    while line != before:
        before = line
        for opening in _OPENINGS:
            rest = _bare(opening.sub("", line))
            line = rest if re.search(r"\w", rest) else line
    return line
