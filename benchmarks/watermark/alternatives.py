"""The methods of invisible-watermark on the same clips, where that package is installed.

They mark single pictures with 32 bits; here each picture of a clip is marked, and all vote on the bits.
"""

import contextlib
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

BITS = 32
_FRAMES = 8


def frames_of(method: str) -> int:
    """How many pictures of each clip are marked: `rivaGan` takes seconds a picture."""
    return 4 if method == "rivaGan" else _FRAMES


def methods() -> tuple[str, ...]:
    """Names of the methods that can run here."""
    if find_spec("imwatermark") is None or find_spec("pywt") is None:
        return ()
    return ("dwtDct", "dwtDctSvd", *(["rivaGan"] if find_spec("onnxruntime") else []))


def embed(frames: UInt8, bits: npt.NDArray[np.integer], method: str) -> UInt8:
    """Pictures with bits of 0 and 1 [BITS]."""
    encoder = _coder("WatermarkEncoder", method)
    encoder.set_watermark("bits", bits.tolist())
    return np.stack([encoder.encode(frame[..., ::-1].copy(), method)[..., ::-1] for frame in frames])


def read(frames: UInt8, method: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The bits of pictures that are scaled to the size of those that were marked."""
    decoder = _coder("WatermarkDecoder", method, "bits", BITS)
    votes = []
    for frame in frames:
        picture = cv2.resize(np.ascontiguousarray(frame[..., ::-1]), (width, height))
        votes.append(np.asarray(decoder.decode(picture, method), dtype=np.float64))
    return np.asarray(np.mean(votes, axis=0) > 0.5)


def _coder(name: str, method: str, *arguments: Any) -> Any:
    coder = getattr(import_module("imwatermark"), name)
    if method == "rivaGan":
        with contextlib.suppress(AttributeError):
            coder.loadModel()
    return coder(*arguments)
