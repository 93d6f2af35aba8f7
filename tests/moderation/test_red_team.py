"""The red-team suite: how many attacks of which kind, and that each is the harmful prompt in disguise."""

import base64
import codecs
import math
import re
import unicodedata
from collections import Counter

import pytest

from veo_core.evaluate.intervals import wilson
from veo_core.moderation.categories import CATEGORIES, GENERAL_CATEGORIES
from veo_core.moderation.filter import FilterPolicy
from veo_core.moderation.normalise import fold_term, spellings
from veo_core.moderation.red_team import PLAIN, TURNS, attack_suite, attacks

ATTACKS = attacks()
SEEDS = [attack.prompt for attack in ATTACKS if attack.converter == PLAIN]
LANGUAGES = {"en", "de", "fr", "es", "pt", "ru", "zh"}
REWORDINGS = {"fiction", "education", "role", "news", "denial", "aside"}
LETTERS = str.maketrans({"а": "a", "с": "c", "е": "e", "о": "o", "р": "p", "х": "x", "у": "y", "і": "i"})


def disguised(converter: str) -> list[tuple[str, str]]:
    """Each harmful prompt with its disguise."""
    prompts = [attack.prompt for attack in ATTACKS if attack.converter == converter]
    return list(zip(SEEDS, prompts, strict=True))


def test_every_category_is_attacked_in_every_way_and_language():
    for category in {category.name for category in CATEGORIES} - {"other"}:
        mine = [attack for attack in ATTACKS if attack.category == category]
        assert {attack.language for attack in mine} == LANGUAGES
        counts = Counter(attack.converter for attack in mine)
        assert counts.pop(TURNS) == 1
        assert counts.pop("translation") == 2 * (len(LANGUAGES) - 1)
        assert set(counts.values()) == {2}
        assert counts.keys() >= REWORDINGS | {PLAIN}
        assert len(counts) == 1 + len(REWORDINGS) + 13
    assert len(ATTACKS) == 10 * (2 + 12 + 2 * 19 + 1)


@pytest.mark.parametrize(
    ("converter", "undo"),
    [
        ("rot13", lambda text: codecs.decode(text, "rot13")),
        ("base64", lambda text: base64.b64decode(text.split(": ")[1]).decode()),
        ("backwards", lambda text: text[::-1]),
        ("full-width letters", lambda text: unicodedata.normalize("NFKC", text)),
        ("invisible characters", lambda text: text.replace("\u200b", "")),
        ("look-alike letters", lambda text: text.translate(LETTERS)),
        ("letters apart", lambda text: " ".join(word.replace(" ", "") for word in text.split("  "))),
        ("dots between letters", lambda text: text.replace(".", "")),
        ("accents", lambda text: text.replace("\u0301", "")),
    ],
)
def test_a_disguise_differs_from_the_prompt_and_can_be_undone(converter, undo):
    for seed, attack in disguised(converter):
        assert attack != seed
        assert undo(attack) == seed


@pytest.mark.parametrize("converter", sorted(REWORDINGS))
def test_a_rewording_holds_the_whole_prompt(converter):
    assert all(seed in attack and attack != seed for seed, attack in disguised(converter))


@pytest.mark.parametrize(
    "converter",
    [
        "look-alike letters",
        "dots between letters",
        "invisible characters",
        "full-width letters",
        "accents",
        "backwards",
        "rot13",
        "base64",
    ],
)
def test_the_filter_reads_every_word_again_behind_a_disguise_that_it_undoes(converter):
    for seed, attack in disguised(converter):
        read = {word for view in spellings(attack) for word in re.findall(r"\w+", view)}
        assert {word for word in re.findall(r"\w+", fold_term(seed)) if len(word) > 1} <= read, attack


@pytest.mark.parametrize(
    ("converter", "most"), [("letters apart", 0), ("digits for letters", 0), ("repeated letters", 1)]
)
def test_terms_are_found_where_a_disguise_can_be_undone_in_part_only(converter, most):
    policy = FilterPolicy()
    assert sum(policy.screen(attack) is None for _, attack in disguised(converter)) <= most


def test_edits_reach_the_harmful_prompt_in_several_turns_that_are_all_different():
    for attack in ATTACKS:
        assert (len(attack.turns) > 1) == (attack.converter == TURNS)
        assert len(set(attack.turns)) == len(attack.turns)
        assert attack.prompt == attack.turns[-1]


def test_only_listed_categories_are_attacked():
    assert {a.category for a in attack_suite(1000, 0, GENERAL_CATEGORIES)} == {
        category.name for category in GENERAL_CATEGORIES
    } - {"other"}
    assert attack_suite(10, 0, ()) == []


@pytest.mark.parametrize(("passed", "n"), [(0, 53), (7, 53), (26, 53), (53, 53), (1, 2)])
def test_intervals_of_attack_success_solve_wilsons_equation(passed, n):
    estimate = wilson(passed, n)
    share, z = passed / n, 1.959963984540054
    for bound in (estimate.low, estimate.high):
        assert (share - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / n, abs=1e-12)
    assert estimate.low <= share <= estimate.high
    assert math.isclose(estimate.low, 0.0, abs_tol=1e-12) == (passed == 0)
