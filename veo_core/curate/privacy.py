"""Personal data in captions: names, e-mail addresses, phone numbers and number plates are taken out.

Rules of thumb, made not to damage ordinary text: a name is taken for one only behind a title, in phrases
such as "a man named ...", or where a judge that saw the clip lists it.
"""

import re
from collections.abc import Iterable

PERSON = "a person"

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’-]*\w\.?"
_FULL_NAME = rf"{_NAME}(?:\s+(?:(?:de|da|di|van|von|der|den|bin|al|la|le)\s+)*(?:[A-Z]\.\s*)?{_NAME}){{0,3}}"
_TITLES = (
    r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Sen|Rev)\.?|Miss|Professor|Doctor|Sir|Dame|Senator|President|Chancellor|Mayor|"
    r"Minister|Pastor|Rabbi|Imam|Sheikh"
)
# "Dr Pepper" is a drink, "President Street" a place.
_NOT_NAMES = r"(?!(?:Pepper|Martens?|Street|Avenue|Road|Square|Park|Hotel|Building)\b)"
_TITLED = re.compile(rf"\b(?:{_TITLES})\s+{_NOT_NAMES}{_FULL_NAME}(?:'s|’s)?")
_NAMED = re.compile(
    rf",?\s+\b(?:named|called|by\s+the\s+name\s+of|known\s+as|identified\s+as|whose\s+name\s+is)\s+"
    rf"[\"“'‘]?{_FULL_NAME}[\"”'’]?"
)
_LABEL = re.compile(
    rf"(\bname(?:\s?(?:tag|badge|plate))?\s+(?:that\s+|which\s+)?(?:is|reads?|reading|says?|saying|shows?)\s+"
    rf"[\"“'‘]?){_FULL_NAME}"
)
_ROLES = (
    r"(?:man|woman|boy|girl|child|person|actor|actress|singer|musician|guitarist|pianist|drummer|dancer|athlete|"
    r"player|footballer|runner|boxer|chef|cook|host|presenter|journalist|reporter|politician|president|"
    r"senator|minister|scientist|artist|painter|comedian|model|celebrity|star|speaker|teacher|coach)"
)

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.,-])\+?\(?\d[\d\s()./-]{5,}\d(?![\w])")
_DATES = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}|(?:1[89]|20)\d\d\s?-\s?(?:1[89]|20)\d\d"
)
_COUNT = re.compile(r"\d{1,3}(?:[\s.]\d{3})*[\s.]000|\d+\.\d+")
_PHONE_DIGITS = range(7, 16)  # ITU-T E.164 allows 15

_PLATE_WORD = re.compile(
    r"\b((?:licen[cs]e|number|registration|vehicle|car)[\s-]*plates?|registration(?:\s+number)?|plates?)\b"
    r"((?:\s*(?:number|that|which|with|reading|reads?|says|saying|showing|shows|is|the|bearing|of|marked|text|"
    r"letters|and|[:,\"“'‘(]))*\s*)"
    r"([A-Z0-9](?:[A-Z0-9]|[ ·-](?=[A-Z0-9])){2,9})(?![\w])"
)
# Forms that hardly anything else has: British, French, Californian, German.
_PLATE_FORMS = re.compile(
    r"\b(?:[A-Z]{2}\d{2}\s?[A-Z]{3}|[A-Z]{2}-\d{3}-[A-Z]{2}|\d[A-Z]{3}\d{3}|[A-ZÄÖÜ]{1,3}-[A-Z]{1,2}\s\d{2,4}[EH]?)\b"
)


def scrub(text: str, names: Iterable[str] = ()) -> str:
    """`text` without personal data.

    Args:
        text: one line.
        names: names of persons in it, as a judge lists them.
    """
    text = _EMAIL.sub("[e-mail]", text)
    text = _PLATE_WORD.sub(_without_plate, text)
    text = _PLATE_FORMS.sub("[plate]", text)
    text = _PHONE.sub(_without_phone, text)
    text = _LABEL.sub(r"\1[name]", text)
    text = _NAMED.sub("", text)
    text = _TITLED.sub(_person, text)
    for name in sorted(_listed(names), key=len, reverse=True):
        text = _without_name(text, name)
    return text


def _without_phone(match: re.Match[str]) -> str:
    found = match.group()
    digits = sum(letter.isdigit() for letter in found)
    if digits not in _PHONE_DIGITS or _DATES.fullmatch(found) or _COUNT.fullmatch(found):
        return found
    return "[phone number]"


def _without_plate(match: re.Match[str]) -> str:
    word, between, plate = match.groups()
    letters, digits = any(c.isalpha() for c in plate), sum(c.isdigit() for c in plate)
    certain = " " in word.strip() or word.lower().startswith(("licen", "regis"))
    if not digits or not (letters or (certain and digits >= 3)):
        return match.group()
    return f"{word}{between}[plate]"


def _person(match: re.Match[str]) -> str:
    start = match.string[: match.start()].rstrip()
    person = PERSON if start and start[-1] not in ".!?" else PERSON.capitalize()
    return person + ("'s" if match.group().endswith(("'s", "’s")) else "")


def _listed(names: Iterable[str]) -> set[str]:
    """The names that are surely names, with their parts: a caption may use a first name alone."""
    found = set()
    for name in names:
        parts = [part for part in name.split() if part[:1].isupper() and len(part) > 2]
        if parts and len(name) <= 80:
            found |= {" ".join(name.split()), *parts}
    return found


def _without_name(text: str, name: str) -> str:
    words = r"\s+".join(map(re.escape, name.split()))
    text = re.sub(rf"(\b{_ROLES}),?\s+{words}\b(?!'s|’s),?", r"\1", text)
    return re.sub(rf"(?<![\w]){words}(?:'s|’s)?(?![\w])", _person, text)
