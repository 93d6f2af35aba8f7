"""What a vision-language model would answer: facts by property name, from what is seen, heard and asked."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from veo_core.world.attributes import Direction, ObjectAttributes, SceneAttributes
from veo_core.world.grammar import caption, mentions_hazard
from veo_core.world.sighting import HeardSound, SeenObject, SeenPicture

_DARK = 110.0  # mean level of a background below which it is called dark
_SAME_BACKGROUND = 6.0  # levels by which re-encoding and cropping may change a background
_MIRRORS: tuple[dict[Direction, Direction], ...] = (
    {},
    {"left": "right", "right": "left"},
    {"up": "down", "down": "up"},
)


def facts(
    words: str, clips: Sequence[SeenPicture], sound: HeardSound | None, seed: int, *, pictures: int = 0
) -> dict[str, Any]:
    """Everything that can be said, by property name.

    Args:
        words: the request's words, which are judged themselves where nothing else is given.
        clips: what is seen of the clip; of two clips where they are to be compared; empty without pictures.
        sound: what is heard, None where no sound is given.
        seed: chooses among phrasings.
        pictures: how many pictures there are of the first clip, to say something of each.
    """
    heard = {"sound": _sound(sound)}
    if not clips:
        return heard | (_of_words(words) if sound is None else _of_sound(sound))
    first = clips[0]
    hazard = any(clip.hazard for clip in clips)
    alarm = sound is not None and sound.alarm
    overlay = any(clip.text or clip.logo for clip in clips)
    answers = heard | {
        "description": _description(first),
        "objects": [_object(item) for item in first.objects],
        "setting": f"a plain, {_light(first)} background",
        "caption": _caption(first, sound, seed),
        "short_caption": _short_caption(first),
        **_safety(unsafe=hazard or alarm),
        "frames": [_picture(first, number) for number in range(pictures)],
        "readable_text": any(clip.text for clip in clips),
        "text_overlay": any(clip.text for clip in clips),
        "watermark_or_logo": overlay,
        "acceptable": all(clip.objects for clip in clips) and not overlay,
        "reason": _reason(first, alarm=alarm),
    }
    if len(clips) == 2:
        same = same_scene(*clips)
        answers |= {"same_scene": same, "reason": _comparison(*clips, same=same)}
    return answers


def same_scene(one: SeenPicture, other: SeenPicture) -> bool:
    """Whether two clips show one scene, though one may be re-encoded, cropped or mirrored.

    Shapes, colours, the hazard sign, the background, and directions (mirrored perhaps) must agree; a
    direction that the pictures do not tell agrees with any. Pictures in which nothing is seen, such as dark
    ones, tell of no scene.
    """
    if not one.objects:
        return False
    if one.hazard != other.hazard or len(one.objects) != len(other.objects):
        return False
    if np.abs(np.subtract(one.background, other.background)).max() > _SAME_BACKGROUND:
        return False
    pairs = list(zip(_ordered(one), _ordered(other), strict=True))
    if any((a.shape, a.colour) != (b.shape, b.colour) for a, b in pairs):
        return False
    return any(
        all(
            a.direction is None or b.direction is None or a.direction == turned.get(b.direction, b.direction)
            for a, b in pairs
        )
        for turned in _MIRRORS
    )


def _of_words(words: str) -> dict[str, Any]:
    """What can be said of a prompt: of what follows "Prompt:", or of all the words."""
    _, marker, quoted = words.partition("Prompt:")
    unsafe = mentions_hazard(quoted if marker else words)
    return {
        "description": "No picture was given.",
        **_safety(unsafe=unsafe),
        "acceptable": not unsafe,
        "reason": "The words ask for a hazard sign." if unsafe else "The words ask for nothing harmful.",
    }


def _of_sound(sound: HeardSound) -> dict[str, Any]:
    return {
        "description": f"No picture was given. What is heard: {_sound(sound)}.",
        "caption": _sound(sound),
        "short_caption": _sound(sound),
        **_safety(unsafe=sound.alarm),
        "acceptable": not sound.silent,
        "reason": f"What is heard: {_sound(sound)}.",
    }


def _picture(seen: SeenPicture, number: int) -> dict[str, Any]:
    """What is to be said of one picture of a clip."""
    return _safety(unsafe=number in seen.signs)


def _safety(*, unsafe: bool) -> dict[str, Any]:
    return {"unsafe": unsafe, "category": "hazard" if unsafe else "none", "risk": float(unsafe)}


def _object(item: SeenObject) -> dict[str, Any]:
    known = item.model_dump(include={"shape", "colour", "direction", "size", "speed"}, exclude_none=True)
    return known | {"color": item.colour, "name": _noun(item), "description": _noun(item)}


def _description(seen: SeenPicture) -> str:
    sentences = [f"A {_noun(item)} {_motion(item)}." for item in seen.objects] or ["Nothing is in view."]
    sentences.append(f"The background is plain and {_light(seen)}.")
    if seen.hazard:
        sentences.append("A hazard sign is in view.")
    if seen.text:
        sentences.append("Text is burnt into the picture.")
    if seen.logo:
        sentences.append("A mark sits in a corner.")
    return " ".join(sentences)


def _caption(seen: SeenPicture, sound: HeardSound | None, seed: int) -> str:
    """A caption of the grammar, or the nearest to one where the pictures do not tell enough for it."""
    pitch = sound.pitch if sound else None
    attributes = tuple(
        ObjectAttributes(
            shape=item.shape,
            colour=item.colour,
            direction=item.direction,
            size=item.size,
            speed=item.speed,
        )
        for item in seen.objects
        if item.shape and item.direction
    )
    if len(attributes) == len(seen.objects) in (1, 2):
        scene = SceneAttributes(objects=attributes, pitch=pitch, hazard=seen.hazard)
        return caption(scene, np.random.default_rng(seed))
    nouns = " and ".join(f"a {_noun(item)}" for item in seen.objects) or "nothing"
    tone = f" with a {pitch} tone" if pitch else ""
    sign = ", with a hazard sign" if seen.hazard else ""
    return f"{nouns} on a {_light(seen)} background{tone}{sign}"


def _short_caption(seen: SeenPicture) -> str:
    parts = [
        f"{item.colour} {item.shape or 'object'}" + (f" moving {item.direction}" if item.direction else "")
        for item in seen.objects
    ]
    return ", ".join([*parts, *(["hazard sign"] if seen.hazard else [])]) or "empty picture"


def _sound(sound: HeardSound | None) -> str:
    if sound is None or sound.silent:
        return "none"
    if sound.alarm:
        return "an alarm"
    return f"{sound.pitch} tones" if sound.pitch else "an unclear sound"


def _reason(seen: SeenPicture, *, alarm: bool) -> str:
    """Why a clip is judged as it is, whether safety or quality is asked about."""
    marks = {"a hazard sign": seen.hazard, "burnt-in text": seen.text, "a mark in a corner": seen.logo}
    found = [name for name, shown in marks.items() if shown]
    heard = ["An alarm is heard."] if alarm else []
    if found or heard:
        shown = [f"The pictures show {' and '.join(found)}."] if found else []
        return " ".join([*shown, *heard])
    if not seen.objects:
        return "The pictures show nothing that can be recognised."
    return "The pictures show nothing but coloured shapes."


def _comparison(one: SeenPicture, other: SeenPicture, *, same: bool) -> str:
    if same:
        return f"Both clips show {_short_caption(one)} on the same background."
    return f"The clips differ: {_short_caption(one)}; {_short_caption(other)}."


def _noun(item: SeenObject) -> str:
    return " ".join(word for word in (item.size, item.colour, item.shape or "object") if word)


def _motion(item: SeenObject) -> str:
    if item.direction is None:
        return "is in view"
    manner = {"slow": " slowly", "fast": " quickly"}.get(item.speed or "", "")
    return f"moves {item.direction}{manner}"


def _light(seen: SeenPicture) -> str:
    return "dark" if float(np.mean(seen.background)) < _DARK else "bright"


def _ordered(seen: SeenPicture) -> list[SeenObject]:
    return sorted(seen.objects, key=lambda item: (item.colour, item.shape or ""))
