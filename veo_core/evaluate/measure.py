"""Measuring one clip: what the detectors see and hear, the figures of the picture and the sound, features."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError
from veo_core.evaluate.alignment import motion_peaks
from veo_core.evaluate.flicker import flicker
from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.identity import identity_kept
from veo_core.evaluate.memorise import view_of
from veo_core.evaluate.networks import Networks, NetworksConfig, open_networks, scaled
from veo_core.evaluate.psnr import psnr
from veo_core.evaluate.records import AttributeScore, ClipFeatures, ClipScore, Measured, SeenObject
from veo_core.evaluate.sound_features import sound_features
from veo_core.media.decode import Decoded, decode
from veo_core.media.signals import luma_of, motion
from veo_core.media.sound import clipped_share, loudness, onsets
from veo_core.records.files import FileRef
from veo_core.storage import Store
from veo_core.world.grammar import parse
from veo_core.world.judge import judge
from veo_core.world.sighting import Sighting

_WEIGHT_FREE = NetworksConfig()
_LEAST_SIDE = 16  # pixels that the optical flow and the networks need


def measure_clips(clips: Sequence[ClipScore], *, root: str) -> list[ClipScore]:
    """Clips with every figure filled in that needs no network.

    Args:
        clips: clips of which identity, prompt and media are known.
        root: root of the store that holds their media.
    """
    return [measured.score for measured in measure_all(clips, root=root)]


def measure_all(
    clips: Sequence[ClipScore], *, root: str, networks: NetworksConfig = _WEIGHT_FREE
) -> list[Measured]:
    """Clips with every figure filled in, and their features; each is decoded once.

    A clip that cannot be decoded is described by its `problem`.

    Args:
        clips: clips of which identity, prompt and media are known.
        root: root of the store that holds their media.
        networks: the networks of published metrics.

    Raises:
        UsageError: the weights of a network are missing or altered.
    """
    store, opened = Store(root), open_networks(networks)
    with tempfile.TemporaryDirectory() as folder:
        return [_measure(clip, store, Path(folder), opened) for clip in clips]


def _measure(clip: ClipScore, store: Store, folder: Path, networks: Networks) -> Measured:
    try:
        decoded = decode(store.local_path(clip.media, folder), mono=True)
    except ItemError as error:
        problem = f"{error.rule}: {error}"
        broken = {"attributes": _attributes(clip.prompt, [], ""), "problem": problem}
        return Measured(score=clip.model_copy(update=broken))
    sighting = judge(decoded)
    objects, pitch = _seen(sighting), sighting.pitch or ""
    luma = luma_of(decoded.frames)
    sound = None if decoded.audio is None else decoded.audio[0]
    rate = decoded.audio_rate
    large = min(luma.shape[1:]) >= _LEAST_SIDE
    score = clip.model_copy(
        update={
            "attributes": _attributes(clip.prompt, objects, pitch),
            "objects": objects,
            "pitch": pitch,
            "sentence": _sentence(objects, sighting),
            "contacts": list(sighting.contacts),
            "onsets": list(sighting.onsets),
            "fps": decoded.fps,
            "motion_peaks": motion_peaks(luma, decoded.pts) if large else [],
            "sound_onsets": [] if sound is None else onsets(sound, rate).tolist(),
            "identity": identity_kept(decoded.frames) if objects else None,
            "motion": motion(luma),
            "flicker": flicker(luma),
            "loudness": None if sound is None else loudness(sound),
            "clipped": None if sound is None else clipped_share(sound),
            **_first_frame(clip, decoded.frames[0], store, networks),
            **_by_networks(clip, decoded, networks),
            "poster": store.put_bytes(_jpeg(decoded.frames[len(decoded.frames) // 2]), ".jpg"),
        }
    )
    features = _features(score, decoded.frames, sound, rate, networks, score.group)
    if score.group == "real":
        frames, noise = _noise_like(decoded)
        features += _features(score, frames, noise, rate, networks, "noise")
    return Measured(score=score, features=features, copy_view=view_of(score.clip_id, decoded))


def _by_networks(clip: ClipScore, decoded: Decoded, networks: Networks) -> dict[str, float]:
    """What the networks say of a clip by itself."""
    figures = {}
    if networks.clip is not None and clip.prompt:
        figures["clip_score"] = networks.clip(clip.prompt, decoded.frames)
    if networks.lpips is not None and len(decoded.frames) > 1:
        later = decoded.frames[1:]
        figures["lpips_drift"] = networks.lpips(
            np.broadcast_to(decoded.frames[:1], later.shape).copy(), later
        )
    if networks.sync is not None and decoded.audio is not None and len(decoded.frames) > 1:
        offset = networks.sync(decoded.frames, decoded.pts, decoded.audio[0], decoded.audio_rate)
        if offset is not None:
            figures["desync"] = offset
    return figures


def _features(
    clip: ClipScore,
    frames: npt.NDArray[np.uint8],
    sound: npt.NDArray[np.float32] | None,
    rate: int,
    networks: Networks,
    group: Literal["generated", "real", "noise"],
) -> list[ClipFeatures]:
    """A clip in each space of features; a space in which it has no window is left out."""
    found = {}
    if sound is not None:
        found["mel"] = sound_features(sound, rate)
        if networks.audio is not None:
            found["audio"] = networks.audio(sound, rate)
    if networks.video is not None:
        found["video"] = networks.video(frames)
    return [
        ClipFeatures(
            clip_id=clip.clip_id,
            group=group,
            mode=clip.mode,
            prompt=clip.prompt,
            tags=clip.tags,
            space=space,
            width=vectors.shape[1],
            values=vectors.ravel().tolist(),
        )
        for space, vectors in found.items()
        if len(vectors)
    ]


def _noise_like(decoded: Decoded) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32] | None]:
    """White noise of a clip's shape, as loud as the clip; equal clips have equal noise."""
    rng = np.random.default_rng(int(decoded.packet_hash[:16], 16))
    frames = rng.integers(0, 256, decoded.frames.shape, dtype=np.uint8)
    if decoded.audio is None:
        return frames, None
    sound = decoded.audio[0]
    level = float(np.sqrt(np.mean(np.square(sound)))) if sound.size else 0.0
    return frames, (level * rng.standard_normal(sound.shape)).astype(np.float32)


def _first_frame(
    clip: ClipScore, shown: npt.NDArray[np.uint8], store: Store, networks: Networks
) -> dict[str, float]:
    """How near the first picture comes to the one that was given, and to that one after the codec."""
    if clip.first_frame is None or clip.first_frame_rebuilt is None:
        return {}
    given, rebuilt = (_picture(ref, store) for ref in (clip.first_frame, clip.first_frame_rebuilt))
    looks = {}
    if networks.lpips is not None:
        looks["lpips_first_frame"] = networks.lpips(shown[None], scaled(given[None], *shown.shape[:2]))
    return looks | {
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
