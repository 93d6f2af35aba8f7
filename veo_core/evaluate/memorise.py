"""Memorisation: the nearest training clip of each generated clip, and whether it is nearer than chance.

Candidates are found by the embedding of dedup, whatever the mirroring, and aligned as dedup aligns copies;
PDQ hashes of frames are the second opinion. What counts as a copy is calibrated on held-out real clips, which
cannot be copies: at most one of a hundred of them may be taken for one. After Carlini et al., "Extracting
Training Data from Diffusion Models" (2301.13188), who search for near copies in the same way.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.curate.dedup_alignment import align
from veo_core.curate.dedup_descriptor import embed, layout
from veo_core.errors import ItemError
from veo_core.evaluate.intervals import Estimate, share
from veo_core.evaluate.records import CopyView
from veo_core.media.decode import Decoded, decode
from veo_core.media.pdq import pdq, pdq_hex
from veo_core.media.signals import luma_of
from veo_core.media.signature import Signature, moments, signature_of
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.storage import Store

ALLOWED = 0.01
"""Share of held-out real clips that may be taken for copies."""

_CANDIDATES = 5
_HASHED = 5  # frames
_SIDE = 64  # pixels of the short side at which training clips are decoded
_COLOUR = 0.05  # what one level of difference in colour takes from likeness
_FAR_COLOUR, _TEMPO = 8.0, 1.25
_SURE_BITS = 31  # of 256, the reference's advice for PDQ
_LEAST_QUALITY = 50  # of PDQ, below which a hash says nothing
_BITS = 256
_DOUBT = 0.05


class Neighbour(Record):
    """A clip and the training clip nearest to it."""

    clip_id: str
    prompt: str
    group: str = Field(description='"generated" or "real"')
    mode: str = Field(default="", description="a generated clip's mode")
    training_clip: str = Field(description="clip id")
    likeness: float = Field(description="likeness of motion less a twentieth of the difference of colour")
    motion: float = Field(description="cosine of what changes over time, aligned")
    colour: float = Field(description="median difference of the pictures, levels of 255")
    hash_distance: int = Field(description="bits of 256, the median over frames, of the nearest by hash")
    memorised: bool = False


class TrainingClip(Record):
    """A clip that the model was trained on."""

    clip_id: str
    media: FileRef


@dataclass(frozen=True)
class Thresholds:
    """From where on a clip counts as a copy: a likeness above the one, or hashes nearer than the other."""

    likeness: float
    bits: float

    def exceeded_by(self, neighbour: Neighbour) -> bool:
        return neighbour.likeness > self.likeness or neighbour.hash_distance < self.bits


def view_of(clip_id: str, decoded: Decoded) -> CopyView:
    """The view of a decoded clip."""
    shown = np.searchsorted(decoded.pts, moments(decoded.seconds) + 1e-6, side="right") - 1
    picked = np.linspace(0, len(decoded.frames) - 1, _HASHED).round().astype(int)
    hashes = [pdq(picture) for picture in luma_of(decoded.frames[picked])]
    return CopyView(
        clip_id=clip_id,
        signature=signature_of(decoded.frames[np.clip(shown, 0, None)]).to_text(),
        seconds=decoded.seconds,
        hashes=[pdq_hex(value) if quality >= _LEAST_QUALITY else "" for value, quality in hashes],
    )


def view_training_clips(clips: Sequence[TrainingClip], *, root: str) -> list[CopyView]:
    """The views of training clips; one that cannot be decoded has none.

    Args:
        clips: the clips.
        root: root of the store that holds them.
    """
    store, views = Store(root), []
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            try:
                decoded = decode(store.local_path(clip.media, Path(folder)), max_short_side=_SIDE)
            except ItemError:
                continue
            views.append(view_of(clip.clip_id, decoded))
    return views


def nearest(clips: Sequence[tuple[CopyView, str, str]], training: Sequence[CopyView]) -> list[Neighbour]:
    """The nearest training clip of each clip.

    Args:
        clips: views with prompt and group.
        training: views of the training clips, at least one.
    """
    if not clips:
        return []
    own, theirs = (_pictures(list(views)) for views in ([c[0] for c in clips], training))
    cosines = layout().cosines(embed(own)[:, 0], embed(theirs)[:, 0])
    count = min(_CANDIDATES, len(training))
    found = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    lengths = np.array(
        [clips[i][0].seconds / training[j].seconds for i, row in enumerate(found) for j in row]
    )
    alike = align(
        np.repeat(own, count, axis=0),
        theirs[found.ravel()],
        lengths,
        max_colour=_FAR_COLOUR,
        max_tempo=_TEMPO,
    )
    motion, colour = alike.motion.reshape(-1, count), alike.colour.reshape(-1, count)
    likeness = motion - _COLOUR * colour
    best = likeness.argmax(axis=1)
    bits = _hash_distances([view for view, _, _ in clips], training)
    return [
        Neighbour(
            clip_id=view.clip_id,
            prompt=prompt,
            group=group,
            training_clip=training[int(found[row, best[row]])].clip_id,
            likeness=float(likeness[row, best[row]]),
            motion=float(motion[row, best[row]]),
            colour=float(colour[row, best[row]]),
            hash_distance=int(bits[row]),
        )
        for row, (view, prompt, group) in enumerate(clips)
    ]


def calibrate(held_out: Sequence[Neighbour]) -> Thresholds:
    """Thresholds that at most `ALLOWED` of further real clips exceed, half of it by each of the two measures.

    Those are one-sided tolerance limits at 95 % confidence (Wilks 1941); fewer than 598 clips cannot show so
    small a share with that confidence, and the most extreme of them stands in.
    """
    likeness = sorted(neighbour.likeness for neighbour in held_out)
    bits = sorted((neighbour.hash_distance for neighbour in held_out), reverse=True)
    if not held_out:
        return Thresholds(math.inf, 0.0)
    rank = len(held_out) - _exceeding(len(held_out))
    return Thresholds(likeness[rank - 1], min(float(bits[rank - 1]), _SURE_BITS))


def _exceeding(count: int) -> int:
    """How many of so many clips may exceed a limit that, with 95 % confidence, half of `ALLOWED` exceed."""
    share = ALLOWED / 2
    chance = total = (1.0 - share) ** count
    exceeding = 0
    while total <= _DOUBT:
        exceeding += 1
        chance *= (count - exceeding + 1) / exceeding * share / (1.0 - share)
        total += chance
    return max(exceeding - 1, 0)


def marked(neighbours: Sequence[Neighbour], thresholds: Thresholds) -> list[Neighbour]:
    """The neighbours with their verdict."""
    return [n.model_copy(update={"memorised": thresholds.exceeded_by(n)}) for n in neighbours]


def memorised_share(neighbours: Sequence[Neighbour]) -> Estimate:
    """How many of the clips are copies."""
    return share([n.memorised for n in neighbours], [n.prompt or n.clip_id for n in neighbours])


def _pictures(views: Sequence[CopyView]) -> npt.NDArray[np.uint8]:
    return np.stack([Signature.from_text(view.signature).pictures for view in views])


def _hash_distances(clips: Sequence[CopyView], training: Sequence[CopyView]) -> npt.NDArray[np.float64]:
    """For each clip the least median over frames of the bits that differ from a training clip's frames."""
    own, theirs = (_packed(views) for views in (clips, training))
    nearest_bits = []
    for bits, known in zip(*own, strict=True):
        differ = np.bitwise_count(bits[None] ^ theirs[0]).sum(axis=2).astype(np.float64)
        differ[~(known[None] & theirs[1])] = _BITS
        nearest_bits.append(np.median(differ, axis=1).min())
    return np.asarray(nearest_bits)


def _packed(views: Sequence[CopyView]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Hashes as words [n, frames, 4], and which of them say something [n, frames]."""
    texts = [[text or "0" * 64 for text in view.hashes] for view in views]
    words = [[np.frombuffer(bytes.fromhex(text), np.uint64) for text in row] for row in texts]
    known = [[bool(text) for text in view.hashes] for view in views]
    return np.asarray(words), np.asarray(known)
