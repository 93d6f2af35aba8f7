"""The first tier of the filter: a lexicon of policy terms, matched in every spelling of a text."""

import importlib.resources
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import yaml

from veo_core.moderation.normalise import fold_term, runs_of_letters, spellings

_WINDOW = 8  # words
_WORDS = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True)
class Hit:
    """A term that a text contains.

    Attributes:
        category: of harm.
        language: of the term, a code of ISO 639-1.
    """

    category: str
    language: str


@dataclass(frozen=True)
class _Term:
    hit: Hit
    words: tuple[str, ...]
    is_unspaced: bool


def find(text: str) -> list[Hit]:
    """Categories and languages of the terms in a text, in the lexicon's order."""
    reading = _Reading(text)
    return list(dict.fromkeys(term.hit for term in _terms() if reading.holds(term)))


class _Reading:
    """A text in all its spellings."""

    def __init__(self, text: str) -> None:
        self._views = spellings(text)
        self._tokens = [_WORDS.findall(view) for view in self._views]
        self._known = {word for view in self._tokens for word in view}
        self._runs = runs_of_letters(text)

    def holds(self, term: _Term) -> bool:
        if term.is_unspaced:
            return any(term.words[0] in view for view in self._views)
        if any(all(word.rstrip("*") in run for word in term.words) for run in self._runs):
            return True
        is_likely = all(any(map(_matcher(word), self._known)) for word in term.words)
        return is_likely and any(_together(view, term.words) for view in self._tokens)


def _together(view: list[str], words: tuple[str, ...]) -> bool:
    """Whether all words stand within the window."""
    if len(words) == 1:
        return any(map(_matcher(words[0]), view))
    places = [[i for i, token in enumerate(view) if _matcher(word)(token)] for word in words]
    if not all(places):
        return False
    return any(
        all(any(abs(place - first) < _WINDOW for place in found) for found in places[1:])
        for first in places[0]
    )


@lru_cache(maxsize=4096)
def _matcher(word: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(re.escape(word[:-1]) + r"\w*" if word.endswith("*") else re.escape(word)).fullmatch


@lru_cache(maxsize=1)
def _terms() -> tuple[_Term, ...]:
    text = (importlib.resources.files("veo_core.moderation") / "lexicon.yaml").read_text(encoding="utf-8")
    return tuple(
        _Term(
            Hit(category, language),
            (fold_term(term),) if _UNSPACED.search(term) else tuple(fold_term(term).split()),
            _UNSPACED.search(term) is not None,
        )
        for category, languages in yaml.safe_load(text).items()
        for language, terms in languages.items()
        for term in terms
    )
