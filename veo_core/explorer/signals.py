"""What a generated clip does over time: its motion and its sound, so that their fit can be seen."""

import json
import tempfile
import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError, UsageError
from veo_core.explorer.library import Run
from veo_core.explorer.results import SignalsDocument
from veo_core.media.decode import Limits, decode
from veo_core.records.files import FileRef

_SIDE, _RATE = 128, 16_000
_POINTS = 400
_LIMITS = Limits(max_seconds=120.0)


def signals_document(run: Run, media: FileRef) -> SignalsDocument:
    """The motion and the sound of a clip, computed once and kept beside the run.

    Raises:
        UsageError: the clip is missing, or cannot be decoded.
    """
    kept = run.cache_folder() / f"signals-{media.sha256}.json"
    if kept.is_file():
        return SignalsDocument.model_validate_json(kept.read_bytes())
    with tempfile.TemporaryDirectory(prefix="veo-signals-") as folder:
        path = run.store.local_path(media, Path(folder))
        try:
            decoded = decode(path, limits=_LIMITS, max_short_side=_SIDE, audio_rate=_RATE, mono=True)
        except ItemError as error:
            raise UsageError(f"clip {media.sha256[:12]}: {error}") from None
    luma = decoded.frames @ np.array([0.299, 0.587, 0.114], np.float32)
    document = SignalsDocument(
        fps=decoded.fps,
        seconds=decoded.seconds,
        motion=[round(float(v), 5) for v in np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)) / 255.0],
        waveform=_envelope(decoded.audio[0]) if decoded.audio is not None else [],
    )
    part = kept.with_name(f".{kept.name}.{uuid.uuid4().hex}")
    part.write_text(json.dumps(document.model_dump(mode="json")), encoding="utf-8")
    part.replace(kept)
    return document


def _envelope(samples: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Least and greatest sample of at most `_POINTS` equal spans."""
    spans = np.array_split(samples, min(_POINTS, len(samples))) if len(samples) else []
    return [(round(float(span.min()), 4), round(float(span.max()), 4)) for span in spans]
