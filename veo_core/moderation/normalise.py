"""What a text may be meant to say: its spellings after common obfuscations are undone.

Unicode compatibility forms (UAX #15), look-alike letters (after UTS #39), digits for letters, letters set
apart, joined by signs or repeated, text backwards, rot13, base64, percent escapes.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from urllib.parse import unquote

MAX_CHARACTERS = 8000
"""Longer texts are read up to here in decoded spellings; the plain ones are read whole."""

_PAIRS = (
    "аa вb сc еe нh іi јj кk мm оo рp ԛq гr ѕs тt уy хx ԝw ԁd һh зz ӏl иu "
    "αa βb εe ζz ηn ιi κk νv οo ρp τt υu χx ωw ıi ɑa ɡg ǀl ʟl øo łl đd ħh ŧt"
)
_LOOK_ALIKES = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}
_LEET = {
    "0": "o",
    "3": "e",
    "4": "a",
    "5": "s",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "€": "e",
    "+": "t",
}
_LEET_I = str.maketrans(_LEET | {"1": "i", "!": "i", "|": "i"})
_LEET_L = str.maketrans(_LEET | {"1": "l", "!": "l", "|": "l"})
_LEETED = re.compile(r"\S*[^\W\d_]\S*")  # a token with a letter
_APART = re.compile(r"(?<!\w)(?:[^\W_][\s._*\-~+·]{1,3}){2,}[^\W_](?!\w)")
_BETWEEN = re.compile(r"(?<=[^\W_])[._*\-~'’`·^]+(?=[^\W_])")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")


def spellings(text: str) -> set[str]:
    """The text in lower case without accents and invisible characters, and what it says once decoded."""
    short = text[:MAX_CHARACTERS]
    sources = {text, short[::-1], codecs.encode(short, "rot13"), *_decoded(short)}
    if "%" in short:
        sources.add(unquote(short))
    found: set[str] = set()
    for source in sources:
        found |= _undone(_folded(source))
    return {" ".join(view.split()) for view in found}


def runs_of_letters(text: str) -> set[str]:
    """Letters that stand apart, joined: words among them have lost their gaps."""
    folded = _folded(text)
    views = {folded, folded.translate(_LOOK_ALIKES), folded.translate(_LEET_I), folded.translate(_LEET_L)}
    return {re.sub(r"[\W_]", "", match[0]) for view in views for match in _APART.finditer(view)}


def fold_term(term: str) -> str:
    """A term of the lexicon, spelt as `spellings` spells texts."""
    return _folded(term)


def _folded(text: str) -> str:
    """NFKC and lower case, without accents and invisible format characters."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    marks = unicodedata.normalize("NFKD", plain)
    kept = (c for c in marks if unicodedata.category(c) not in ("Mn", "Me", "Cf", "Cc") or c in "\n\t")
    return unicodedata.normalize("NFC", "".join(kept))


def _undone(text: str) -> set[str]:
    """A folded text and its readings with letters put back for look-alikes, digits, gaps and repeats."""
    views = {text, text.translate(_LOOK_ALIKES)}
    for view in list(views):
        joined = _APART.sub(lambda match: re.sub(r"[\W_]", "", match[0]), view)
        views |= {joined, _BETWEEN.sub("", view)}
    for view in list(views):
        views |= {_unleeted(view, _LEET_I), _unleeted(view, _LEET_L)}
    for view in list(views):
        views.add(_APART.sub(lambda match: re.sub(r"[\W_]", "", match[0]), view))
    for view in list(views):
        once, twice = _REPEATED.sub(r"\1", view), _REPEATED.sub(r"\1\1", view)
        # Of neighbours one may be spelt with a double letter and the other not: both readings of each.
        views |= {once, twice, " ".join(map(" ".join, zip(once.split(), twice.split(), strict=True)))}
    return views


def _unleeted(text: str, table: dict[int, str]) -> str:
    """Letters for the digits and signs of tokens that hold a letter."""
    return _LEETED.sub(lambda match: match[0].translate(table), text)


def _decoded(text: str) -> set[str]:
    """What runs of base64 in a text say, where that is text."""
    found = set()
    for match in _BASE64.finditer(text):
        run = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        try:
            said = base64.b64decode(run + "=" * (-len(run) % 4), validate=True).decode()
        except (binascii.Error, ValueError):
            continue
        if said.isprintable():
            found.add(said)
    return found
