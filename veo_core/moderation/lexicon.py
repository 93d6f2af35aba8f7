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
    views = spellings(text)
    tokens = [_WORDS.findall(view) for view in views]
    known = {word for view in tokens for word in view}
    runs = runs_of_letters(text)
    found: dict[Hit, None] = {}
    for term in _terms():
        if term.hit in found:
            continue
        if term.is_unspaced:
            if any(term.words[0] in view for view in views):
                found[term.hit] = None
        elif (_all_known(term.words, known) and any(_together(view, term.words) for view in tokens)) or any(
            all(word.rstrip("*") in run for word in term.words) for run in runs
        ):
            found[term.hit] = None
    return list(found)


def _all_known(words: tuple[str, ...], known: set[str]) -> bool:
    return all(any(map(_matcher(word), known)) for word in words)


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
