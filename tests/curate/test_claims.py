import pytest

from veo_core.curate.claims import claims_sound, mentions_motion, mentions_sound
from veo_core.world.grammar import prompt_suite


@pytest.mark.parametrize(
    "text", ["", "none", "None.", "silence", "No sound is heard.", "there is no audible sound", "N/A"]
)
def test_sound_that_the_text_says_is_not_there_is_not_claimed(text):
    assert not claims_sound(text)


@pytest.mark.parametrize("text", ["a low tone", "no voices, but a low tone", "two tones, then silence"])
def test_sound_that_the_text_names_is_claimed(text):
    assert claims_sound(text)


@pytest.mark.parametrize(
    "text",
    [
        "A red circle moves left with a low tone",
        "A dog runs while birds are heard",
        "The sound of waves",
        "Soft music plays in the background",
        "No one is there, but a voice speaks",
        "An engine hums",
        "A man walks; barking echoes",
        "loud traffic noise",
    ],
)
def test_caption_with_a_sound_is_found(text):
    assert mentions_sound(text)


@pytest.mark.parametrize(
    "text",
    [
        "A red circle moves left",
        "A man speaks into a microphone",
        "Warm tones and a skin tone",
        "A music stand and sheet music on a table",
        "A sound engineer at a mixing desk",
        "A woman, sound asleep",
        "No sound is heard",
        "A silent street without any music",
        "Diamond rings and a hearing aid",
    ],
)
def test_caption_without_a_sound_is_left_in_peace(text):
    assert not mentions_sound(text)


@pytest.mark.parametrize(
    "text", ["A circle moves left", "The camera pans left", "Leaves sway", "A dog running"]
)
def test_caption_with_a_motion_is_found(text):
    assert mentions_motion(text)


@pytest.mark.parametrize(
    "text",
    [
        "A red circle on a dark background",
        "A car that is not moving",
        "Motionless leaves",
        "A pair of running shoes",
        "A pan on a stove",
        "A still lake by the falls",
        "A walking stick",
    ],
)
def test_caption_without_a_motion_is_left_in_peace(text):
    assert not mentions_motion(text)


def test_every_caption_of_the_world_tells_of_motion_and_of_its_tone():
    for prompt in prompt_suite("seen", 200, 3):
        assert mentions_motion(prompt.text), prompt.text
        assert mentions_sound(prompt.text) == (prompt.attributes.pitch is not None), prompt.text
