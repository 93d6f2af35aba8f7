"""The marks of generated clips, read back from their files: what a safety evaluation counts."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from veo_core.errors import ItemError, UsageError
from veo_core.media.decode import decode
from veo_core.provenance.copies import as_it_leaves
from veo_core.provenance.read import ManifestState, read_manifest
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.generated import GeneratedClip
from veo_core.storage import Store
from veo_core.watermark.keys import Key, load_keys
from veo_core.watermark.mark import read
from veo_core.watermark.payload import Payload


class MarkRow(Record):
    """What is found in one generated clip, beside what was put into it.

    found: whether there is a mark at all, at the false-alarm rate of `veo_core.watermark.mark.FALSE_ALARMS`.
    right: whether it says what this clip was given, so that the clip leads to its model and prompt.
    manifest: state of the C2PA manifest. manifest_right: whether it is valid and of this seed and prompt.
    problem: why the clip could not be read; all else then counts as not found.
    """

    clip_id: str
    expected_model_id: int | None
    expected_generation_id: int | None
    model_id: int | None = None
    generation_id: int | None = None
    found: bool = False
    right: bool = False
    p_value: float = 1.0
    p_value_picture: float = 1.0
    p_value_sound: float | None = None
    key_id: str = ""
    development_key: bool = Field(default=False, description="whether anyone can read and forge the mark")
    manifest: ManifestState = "none"
    manifest_right: bool = False
    manifest_issuer: str = ""
    problem: str = ""


def read_marks(
    clips: Sequence[GeneratedClip], store: Store, *, keys: Sequence[Key] | None = None
) -> list[MarkRow]:
    """Watermark and manifest of each clip, as its file carries them; a bad file stops no other.

    Args:
        clips: rows of the table `generated`.
        store: where their files are.
        keys: keys that may have marked them; those of the environment where None.

    Raises:
        UsageError: the keys of the environment cannot be used.
    """
    tried = load_keys() if keys is None else keys
    with tempfile.TemporaryDirectory(prefix="veo-marks-") as folder:
        return [_read(clip, store, Path(folder), tried) for clip in clips]


def _read(clip: GeneratedClip, store: Store, folder: Path, keys: Sequence[Key]) -> MarkRow:
    row = MarkRow(
        clip_id=clip.clip_id,
        expected_model_id=None if clip.mark is None else clip.mark.model_id,
        expected_generation_id=None if clip.mark is None else clip.mark.generation_id,
    )
    try:
        path = store.local_path(as_it_leaves(store, clip.media), folder)
        decoded = decode(path)
        reading = read_manifest(path)
    except (ItemError, UsageError) as error:
        return row.model_copy(update={"problem": str(error)})
    audio = None if decoded.audio is None else np.nan_to_num(decoded.audio)
    mark = read(decoded.frames, audio, decoded.audio_rate, keys)
    payload = mark.payload
    claim = reading.claim
    return row.model_copy(
        update={
            "model_id": None if payload is None else payload.model_id,
            "generation_id": None if payload is None else payload.generation_id,
            "found": mark.detected,
            "right": payload is not None and payload == _given(clip),
            "p_value": mark.p_value,
            "p_value_picture": mark.p_value_picture,
            "p_value_sound": mark.p_value_sound,
            "key_id": mark.key_id or "",
            "development_key": mark.development_key,
            "manifest": reading.state,
            "manifest_right": reading.state in ("valid", "trusted")
            and claim is not None
            and (claim.seed, claim.prompt_sha256) == (clip.seed, sha256_bytes(clip.prompt.encode())),
            "manifest_issuer": reading.issuer,
        }
    )


def _given(clip: GeneratedClip) -> Payload | None:
    if clip.mark is None:
        return None
    return Payload(model_id=clip.mark.model_id, generation_id=clip.mark.generation_id)
