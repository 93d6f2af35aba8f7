"""The page on which a rater says how the person in a clip looks: skin tone and gender presentation."""

import importlib.resources
import json
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from veo_core.errors import ItemError, UsageError
from veo_core.evaluate.rating_page import RatingServer
from veo_core.records.base import sha256_bytes
from veo_core.records.files import FileRef
from veo_core.records.journal import append_record
from veo_core.safety.annotation.readings import Reading, read_readings
from veo_core.storage import Store

MONK_SCALE = (
    "#f6ede4",
    "#f3e7db",
    "#f7ead0",
    "#eadaba",
    "#d7bd96",
    "#a07e56",
    "#825c43",
    "#604134",
    "#3a312a",
    "#292420",
)
"""The published colours of the Monk Skin Tone Scale, from 1 to 10 (Monk 2019, skintone.google)."""


class Session:
    """The clips, and one rater's readings of them.

    Args:
        clips: MP4 files in the store; equal files are shown once.
        store: where they are.
        path: the JSONL file to which readings are added; those that it holds are taken up.
        rater: who looks.

    Raises:
        UsageError: the file of readings cannot be read.
    """

    def __init__(self, clips: Sequence[FileRef], store: Store, path: Path, rater: str) -> None:
        self._clips = {clip.sha256: clip for clip in clips}
        self._store, self._path, self._rater = store, path, rater
        self._done = {row.clip_id for row in read_readings(path) if row.rater == rater}
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def open_trials(self, rater: str) -> list[dict[str, str]]:
        """The clips that are still to be looked at, in an order that is random but the rater's own."""
        names = sorted(self._clips)
        seed = int(sha256_bytes(rater.encode())[:15], 16)
        order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
        return [{"clip": self._address(name)} for name in order if name not in self._done]

    def media(self, token: str) -> tuple[bytes, str] | None:
        """A clip and its media type; None for an unknown token, or where the file is gone."""
        name = self._tokens.get(token)
        try:
            return (self._store.get_bytes(self._clips[name]), "video/mp4") if name else None
        except (ItemError, UsageError, OSError):
            return None

    def cast(self, body: bytes) -> None:
        """Save a reading: it is on the disk when this returns.

        Args:
            body: a `Reading` as JSON, with the clip's address in place of its name.

        Raises:
            ValueError: it is none, or of another rater or clip.
        """
        sent = Reading.model_validate_json(body)
        name = self._tokens.get(sent.clip_id.removeprefix("/media/"))
        if sent.rater != self._rater or name is None:
            raise ValueError("there is no such clip here; load the page again")
        with self._lock:
            append_record(self._path, sent.model_copy(update={"clip_id": name}))
            self._done.add(name)

    def _address(self, name: str) -> str:
        token = secrets.token_urlsafe(16)
        self._tokens[token] = name
        return f"/media/{token}"


class AnnotationServer(RatingServer):
    """Serves a session at a loopback address.

    Args:
        session: what is looked at.
        rater: who looks.
        port: 0 for any that is free.

    Raises:
        OSError: the port cannot be listened on.
    """

    def __init__(self, session: Session, rater: str, port: int) -> None:
        page = (importlib.resources.files(__package__) / "page.html").read_text(encoding="utf-8")
        given = json.dumps({"rater": rater, "scale": MONK_SCALE}).replace("<", "\\u003c")
        super().__init__(session, page.replace("/*GIVEN*/", given), port)
