import numpy as np
import pytest

from veo_core.curate.privacy import scrub
from veo_core.world.grammar import prompt_suite


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Write to jane.doe@mail.example.org now", "Write to [e-mail] now"),
        ("Call +1 (555) 010-9999 or 030 1234567.", "Call [phone number] or [phone number]."),
        ("She dials 5550123", "She dials [phone number]"),
        ("A car with the license plate ABC 1234 passes", "A car with the license plate [plate] passes"),
        ("A van with number plate B-MW 1234", "A van with number plate [plate]"),
        ("its plate reads 7ABC123", "its plate reads [plate]"),
        ("AB12 CDE drives by", "[plate] drives by"),
        ("AB-123-CD is parked", "[plate] is parked"),
        ("Dr. Jane Smith waves at Mr. O'Neil's dog", "A person waves at a person's dog"),
        ("with Prof. Ada van der Berg", "with a person"),
        ("A woman named Jane Doe walks", "A woman walks"),
        ("A man called Émile waves", "A man waves"),
        ("A name tag reading Anna is seen", "A name tag reading [name] is seen"),
    ],
)
def test_personal_data_is_taken_out(raw, clean):
    assert scrub(raw) == clean


@pytest.mark.parametrize(
    ("raw", "names", "clean"),
    [
        ("Jane Doe waves. Then Jane smiles.", ["Jane Doe"], "A person waves. Then a person smiles."),
        ("The singer Jane Doe performs", ["Jane Doe"], "The singer performs"),
        ("A dog follows Tom's car", ["Tom"], "A dog follows a person's car"),
        ("Tomatoes and Tom", ["Tom"], "Tomatoes and a person"),
        ("a red circle", ["red", "a", "circle", ""], "a red circle"),
    ],
)
def test_names_that_a_judge_lists_are_taken_out(raw, names, clean):
    assert scrub(raw, names) == clean


@pytest.mark.parametrize(
    "text",
    [
        "2 circles, 3 crosses at 300 Hz in 2024",
        "from 1990-2000 and on 2024-01-15 or 15.01.2024",
        "a 1920 x 1080 screen, 12,000,000 people, 1 000 000 stars",
        "It is 10:30:00 at 52.520008",
        "a can of Dr Pepper on President Street",
        "a plate with 12 BLUEBERRIES and a plate of pasta for 12",
        "an F-16, an A4 sheet, an MP3 player, ISO 9001, a 2CV",
        "a miss and a hit, a doctor and a president",
        "Paris in Spring, the Eiffel Tower, a Ford Mustang",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert scrub(text) == text


def test_captions_of_the_world_stay_as_they_are():
    texts = {prompt.text for seed in np.arange(4) for prompt in prompt_suite("two_objects", 200, int(seed))}
    assert len(texts) > 100
    assert {scrub(text) for text in texts} == texts
