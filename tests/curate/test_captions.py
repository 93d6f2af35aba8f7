import pytest

from veo_core.curate.captions import claims_sound, clean_caption


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("The video shows a red circle.", "A red circle."),
        ("This video clip depicts a red circle", "A red circle"),
        ("In this video, a red circle moves left", "A red circle moves left"),
        ("in the clip, a red circle", "a red circle"),
        ("We can see a red circle", "A red circle"),
        ("A red circle moving left with a low tone", "A red circle moving left with a low tone"),
        ("A video camera shows up in the scene", "A video camera shows up in the scene"),
        ("a  red\ncircle", "a red circle"),
        ("Write to jane.doe@mail.example.org now", "Write to [e-mail] now"),
        ("Call +1 (555) 010-9999 or 030 1234567.", "Call [phone number] or [phone number]."),
        ("2 circles, 3 crosses at 300 Hz in 2024", "2 circles, 3 crosses at 300 Hz in 2024"),
    ],
)
def test_clean_caption(raw, clean):
    assert clean_caption(raw) == clean


@pytest.mark.parametrize(
    "text", ["", "none", "None.", "silence", "No sound is heard.", "there is no audible sound"]
)
def test_claims_sound_when_the_text_says_there_is_none_is_false(text):
    assert not claims_sound(text)


@pytest.mark.parametrize("text", ["a low tone", "no voices, but a low tone", "two tones, then silence"])
def test_claims_sound_when_the_text_names_one_is_true(text):
    assert claims_sound(text)
