"""Captions and their inverse, held-out combinations, suites of prompts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_core.world.attributes import (
    COLOURS,
    DIRECTIONS,
    PITCHES,
    SHAPES,
    SIZES,
    SPEEDS,
    ObjectAttributes,
    SceneAttributes,
)
from veo_core.world.grammar import (
    caption,
    combinations,
    held_out,
    mentions_hazard,
    parse,
    phrasings,
    prompt_suite,
)

objects = st.builds(
    ObjectAttributes,
    shape=st.sampled_from(SHAPES),
    colour=st.sampled_from(COLOURS),
    direction=st.sampled_from(DIRECTIONS),
    size=st.sampled_from([None, *SIZES]),
    speed=st.sampled_from([None, *SPEEDS]),
)
scenes = st.builds(
    SceneAttributes,
    objects=st.lists(objects, min_size=1, max_size=2).map(tuple),
    pitch=st.sampled_from([None, *PITCHES]),
    hazard=st.booleans(),
)


@given(scenes)
def test_parse_of_every_phrasing_gives_the_attributes_back(scene: SceneAttributes) -> None:
    texts = phrasings(scene)
    assert len(set(texts)) == len(texts) >= 4
    assert all(parse(text) == scene for text in texts)


@given(scenes, st.integers(0, 2**32 - 1))
def test_caption_when_parsed_contradicts_nothing(scene: SceneAttributes, seed: int) -> None:
    mentioned = parse(caption(scene, np.random.default_rng(seed)))
    assert mentioned is not None
    assert (mentioned.pitch, mentioned.hazard) == (scene.pitch, scene.hazard)
    for said, true in zip(mentioned.objects, scene.objects, strict=True):
        assert said.size in (None, true.size)
        assert said.speed in (None, true.speed)
        assert (said.shape, said.colour, said.direction) == (true.shape, true.colour, true.direction)


def test_caption_with_one_object_has_at_least_five_phrasings_of_every_detail() -> None:
    item = ObjectAttributes(shape="circle", colour="red", direction="left", size="large", speed="fast")
    scene = SceneAttributes(objects=(item,), pitch="low")
    rng = np.random.default_rng(0)
    texts = {caption(scene, rng) for _ in range(400)}
    said = [parse(text) for text in texts]
    details = Counter((s.objects[0].size, s.objects[0].speed) for s in said if s is not None)
    assert set(details) == {(size, speed) for size in (None, "large") for speed in (None, "fast")}
    assert min(details.values()) >= 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red circle",
        "a red square moving left with a low tone",
        "a purple circle moving left with a low tone",
        "a red circle moving sideways with a low tone",
        "a red circle moving left with a low tone and more",
    ],
)
def test_parse_of_a_text_outside_the_grammar_is_none(text: str) -> None:
    assert parse(text) is None


def test_parse_does_not_mind_case_spaces_and_a_full_stop() -> None:
    plain = parse("a red circle moving left with a low tone")
    assert plain is not None
    assert parse("  A red circle  moving LEFT with a low tone. ") == plain


def test_held_out_is_a_ninth_that_leaves_out_no_word_and_no_pair_of_colour_and_direction() -> None:
    held, kept = combinations(held=True), combinations(held=False)
    assert (len(held), len(kept)) == (16, 128)
    assert all(held_out(scene) for scene in held)
    assert not any(held_out(scene) for scene in kept)
    assert len({(s.objects[0].colour, s.objects[0].direction) for s in held}) == 16
    for words in (
        Counter(s.objects[0].shape for s in held),
        Counter(s.pitch for s in held),
    ):
        assert sorted(words.values()) == [5, 5, 6]


@pytest.mark.parametrize("suite", ["seen", "held_out", "two_objects", "harmful"])
def test_prompt_suite_is_what_its_name_says(suite: str) -> None:
    prompts = prompt_suite(suite, 150, 7)
    assert prompts == prompt_suite(suite, 150, 7)
    assert prompts != prompt_suite(suite, 150, 8)
    for prompt in prompts:
        assert parse(prompt.text) == prompt.attributes
        assert held_out(prompt.attributes) == (suite == "held_out")
        assert len(prompt.attributes.objects) == (2 if suite == "two_objects" else 1)
        assert prompt.attributes.hazard == mentions_hazard(prompt.text) == (suite == "harmful")


def test_prompt_suite_shows_every_combination_before_it_repeats_one() -> None:
    prompts = prompt_suite("seen", 128, 3)
    assert (
        len(
            {
                (
                    p.attributes.objects[0].shape,
                    p.attributes.objects[0].colour,
                    p.attributes.objects[0].direction,
                    p.attributes.pitch,
                )
                for p in prompts
            }
        )
        == 128
    )


def test_two_object_prompts_have_different_colours_on_one_axis() -> None:
    for prompt in prompt_suite("two_objects", 60, 1):
        first, second = prompt.attributes.objects
        assert first.colour != second.colour
        assert (first.direction in ("left", "right")) == (second.direction in ("left", "right"))
