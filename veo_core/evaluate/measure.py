"""Measuring one clip: what the detectors see and hear, and the figures that need no reference."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError
from veo_core.evaluate.flicker import flicker
from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.psnr import psnr
from veo_core.evaluate.records import AttributeScore, ClipScore, SeenObject
from veo_core.media.decode import decode
from veo_core.media.signals import luma_of, motion
from veo_core.media.sound import clipped_share, loudness
from veo_core.records.files import FileRef
from veo_core.storage import Store
from veo_core.world.grammar import parse
from veo_core.world.judge import judge
from veo_core.world.sighting import Sighting


def measure_clips(clips: Sequence[ClipScore], *, root: str) -> list[ClipScore]:
    """Clips with every figure filled in.

    Args:
        clips: clips of which identity, prompt and media are known.
        root: root of the store that holds their media.
    """
    store = Store(root)
    with tempfile.TemporaryDirectory() as folder:
        return [_measure(clip, store, Path(folder)) for clip in clips]


def _measure(clip: ClipScore, store: Store, folder: Path) -> ClipScore:
    try:
        decoded = decode(store.local_path(clip.media, folder), mono=True)
    except ItemError as error:
        problem = f"{error.rule}: {error}"
        return clip.model_copy(update={"attributes": _attributes(clip.prompt, [], ""), "problem": problem})
    sighting = judge(decoded)
    objects, pitch = _seen(sighting), sighting.pitch or ""
    luma = luma_of(decoded.frames)
    sound = None if decoded.audio is None else decoded.audio[0]
    return clip.model_copy(
        update={
            "attributes": _attributes(clip.prompt, objects, pitch),
            "objects": objects,
            "pitch": pitch,
            "sentence": _sentence(objects, sighting),
            "contacts": list(sighting.contacts),
            "onsets": list(sighting.onsets),
            "motion": motion(luma),
            "flicker": flicker(luma),
            "loudness": None if sound is None else loudness(sound),
            "clipped": None if sound is None else clipped_share(sound),
            **_first_frame(clip, decoded.frames[0], store),
            "poster": store.put_bytes(_jpeg(decoded.frames[len(decoded.frames) // 2]), ".jpg"),
        }
    )


def _first_frame(clip: ClipScore, shown: npt.NDArray[np.uint8], store: Store) -> dict[str, float]:
    """How near the first picture comes to the one that was given, and to that one after the codec."""
    if clip.first_frame is None or clip.first_frame_rebuilt is None:
        return {}
    given, rebuilt = (_picture(ref, store) for ref in (clip.first_frame, clip.first_frame_rebuilt))
    return {
        "first_frame_psnr": psnr(shown, given),
        "first_frame_codec_psnr": psnr(shown, rebuilt),
        "codec_psnr": psnr(rebuilt, given),
    }


def _picture(ref: FileRef, store: Store) -> npt.NDArray[np.uint8]:
    """A stored PNG as RGB, uint8 [h, w, 3]."""
    read = cv2.imdecode(np.frombuffer(store.get_bytes(ref), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def _attributes(prompt: str, objects: list[SeenObject], pitch: str) -> list[AttributeScore]:
    wanted = parse(prompt)
    return [] if wanted is None else score_attributes(wanted, objects, pitch)


def _seen(sighting: Sighting) -> list[SeenObject]:
    return [
        SeenObject(
            shape=item.shape or "",
            colour=item.colour,
            direction=item.direction or "",
            size=item.size or "",
            speed=item.speed or "",
        )
        for item in sighting.objects
    ]


def _sentence(objects: Sequence[SeenObject], sighting: Sighting) -> str:
    """What was seen and heard, in words; what cannot be told is left out."""
    nouns = [
        " ".join(
            word
            for word in (
                item.size,
                item.colour,
                item.shape or "shape",
                item.direction and f"moving {item.direction}",
            )
            if word
        )
        for item in objects
    ]
    seen = " and ".join(nouns) or "nothing"
    if sighting.silent:
        return f"{seen}; silence"
    tones = f"{sighting.pitch} tone" if sighting.pitch else "no clear tone"
    return f"{seen}; {tones}, {len(sighting.contacts)} contacts, {len(sighting.onsets)} sounds"


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert written
    return bytes(data)
