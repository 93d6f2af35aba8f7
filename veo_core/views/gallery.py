"""Clips that play with sound inside a page, small enough for it."""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError, UsageError
from veo_core.html import Html, data_uri, element, join
from veo_core.media.decode import Decoded, decode
from veo_core.media.encode import encode
from veo_core.records.files import FileRef
from veo_core.storage import Store

MOST_CLIPS = 24

_BYTES = 3_400_000
"""Of all clips and pictures as text; it leaves room for what else is on a page."""

_SIDE = 240
_SIZES = ((240, 28), (180, 31), (120, 34))  # short side in pixels, constant rate factor
_AUDIO_RATE, _AUDIO_BITRATE = 24_000, 40_000
_JPEG_QUALITY = 75
_LONGEST_TEXT = 240


@dataclass(frozen=True)
class Card:
    """A clip and what is said of it.

    Attributes:
        media: its file in the store.
        title: what it shows.
        notes: lines below, each as text or as an element.
    """

    media: FileRef
    title: str
    notes: Sequence[Html | str] = ()


def gallery(cards: Sequence[Card], store: Store, *, of: int) -> Html | None:
    """At most MOST_CLIPS cards, of so many clips, with players; None without cards.

    A clip that is too large for its share of the page is shown as a smaller copy, which says so and has no
    content credentials, and one that stays too large, as a picture.
    """
    shown = cards[:MOST_CLIPS]
    if not shown:
        return None
    share = _BYTES // len(shown) * 3 // 4  # base64 takes four bytes for three
    hint = f"{len(shown)} of {of} clips. Press play to hear them."
    with tempfile.TemporaryDirectory(prefix="veo-gallery-") as folder:
        drawn = [_card(card, store, Path(folder), share) for card in shown]
    return join(element("p", hint, class_="hint"), element("div", drawn, class_="gallery"))


def spread(count: int) -> list[int]:
    """Indices of at most MOST_CLIPS of `count` things, evenly spread."""
    most = min(count, MOST_CLIPS)
    return [index * count // most for index in range(most)]


def shortened(words: str) -> str:
    """The beginning of a long text."""
    return words if len(words) <= _LONGEST_TEXT else f"{words[: _LONGEST_TEXT - 1]}…"


def _card(card: Card, store: Store, folder: Path, share: int) -> Html:
    title = shortened(card.title)
    player, size = _player(card.media, title, store, folder, share)
    return element(
        "article",
        element("div", player, class_="frame"),
        element("p", title),
        [_note(note) for note in card.notes],
        _note(size) if size else None,
        class_="clip",
        data_sha256=card.media.sha256,
    )


def _note(note: Html | str) -> Html:
    return note if isinstance(note, Html) else element("p", shortened(note), class_="hint")


def _player(media: FileRef, title: str, store: Store, folder: Path, share: int) -> tuple[Html, str]:
    """What shows the clip in at most `share` bytes, and what it is where it is not the clip itself."""
    path = folder / Path(media.path).name
    try:
        path.write_bytes(store.get_bytes(media))
        decoded = decode(path, max_short_side=_SIDE, audio_rate=_AUDIO_RATE, mono=True)
    except UsageError:
        return element("p", "The file is gone from the store, or was altered.", class_="unknown"), ""
    except ItemError as error:
        return element("p", f"The file cannot be played: {error}", class_="unknown"), ""
    poster = _jpeg(decoded.frames[len(decoded.frames) // 2])
    picture, left = data_uri(poster, "image/jpeg"), share - len(poster)
    fits = media.bytes <= left
    data = path.read_bytes() if fits else _smaller(decoded, left)
    if data is None:
        return element("img", src=picture, alt=title), "too large to play here"
    player = element(
        "video",
        src=data_uri(data, "video/mp4"),
        poster=picture,
        controls=True,
        loop=True,
        playsinline=True,
        preload="none",
        aria_label=title or "clip",
    )
    return player, "" if fits else "smaller copy"


def _smaller(decoded: Decoded, share: int) -> bytes | None:
    """The clip encoded in at most `share` bytes; None where that cannot be."""
    for side, crf in _SIZES:
        target = io.BytesIO()
        encode(
            target,
            _scaled(decoded.frames, side),
            fps=decoded.fps,
            audio=decoded.audio,
            audio_rate=decoded.audio_rate or _AUDIO_RATE,
            crf=crf,
            audio_bitrate=_AUDIO_BITRATE,
        )
        if target.tell() <= share:
            return target.getvalue()
    return None


def _scaled(frames: npt.NDArray[np.uint8], short_side: int) -> npt.NDArray[np.uint8]:
    """Pictures with a short side of at most `short_side` and even sides, [t, h, w, 3]."""
    height, width = frames.shape[1:3]
    scale = min(1.0, short_side / min(height, width))
    size = [max(2, round(side * scale / 2) * 2) for side in (width, height)]
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert encoded
    return bytes(data)
