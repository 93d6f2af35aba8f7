import pytest

from veo_core.curate.captions import clean_caption


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("The video shows a red circle.", "A red circle."),
        ("This video clip depicts a red circle", "A red circle"),
        ("In this video, a red circle moves left", "A red circle moves left"),
        ("in the clip, a red circle", "a red circle"),
        ("In this video, we see a man walking", "A man walking"),
        ("In this short clip we see two dogs", "Two dogs"),
        ("We can see a red circle", "A red circle"),
        ("Here we see a boat", "A boat"),
        ("The video opens with a boat", "A boat"),
        ("The footage captures a boat", "A boat"),
        ("The scene depicts a quiet beach", "A quiet beach"),
        ("The short video clip showcases a chef", "A chef"),
        ("The video appears to show a storm", "A storm"),
        ("The video is about a cat", "A cat"),
        ("These frames show a boat", "A boat"),
        ("The image features a cat", "A cat"),
        ("The camera captures a boat", "A boat"),
        ("This is a video of a cat", "A cat"),
        ("Footage showing a boat", "A boat"),
        ("As the video begins, a man sits", "A man sits"),
        ("Throughout the clip, the sun sets", "The sun sets"),
        ("Here is a caption for the video: A dog runs.", "A dog runs."),
        ("Sure! Here's a detailed caption: The footage captures a cat.", "A cat."),
        ('**Caption:** "A dog runs"', "A dog runs"),
        ('"A dog runs"', "A dog runs"),
        ("a  red\ncircle", "a red circle"),
    ],
)
def test_opening_that_speaks_of_the_video_is_left_out(raw, clean):
    assert clean_caption(raw) == clean


@pytest.mark.parametrize(
    "text",
    [
        "A red circle moving left with a low tone",
        "A video camera shows up in the scene",
        "In the video game, a knight runs",
        "A scene of a beach at dusk",
        "a video of a red circle going left",
        "A close-up shot of a hand",
        "The film crew shows the actors the way",
        "The man shows a video to his friend",
        '"Stop" and "Go" signs stand by the road, "Go" in front',
        "The video",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert clean_caption(text) == text
