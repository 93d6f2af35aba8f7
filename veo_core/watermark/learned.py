"""Marks by published networks, Video Seal (2412.09492) and AudioSeal (2401.17264), whose weights a user has.

Both are opened from TorchScript: `y_256b_img.jit` of Video Seal as it is published; of AudioSeal, from
version 0.2 on, what `torch.jit.script(AudioSeal.load_generator(NAME)).save(FILE)`, and the same with
`load_detector`, write. A TorchScript file is a program, so it is run only where its sha256 is the expected
one; Python unpickles nothing of it.
"""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from veo_core.errors import UsageError
from veo_core.storage.pinned import read_pinned
from veo_core.watermark.sound_spectrum import Float32, resampled

Picture = npt.NDArray[np.uint8]
Signs = npt.NDArray[np.integer]
Float64 = npt.NDArray[np.float64]
BuiltT = TypeVar("BuiltT")

_CHUNK = 16  # pictures at a time in reading
_AUDIOSEAL_RATE = 16_000
_PROBE = 64  # pixels along the side of the picture that tells the length of Video Seal's message


class VideoSeal:
    """Video Seal's mark in pictures, 256 bits in the published model."""

    def __init__(self, model: torch.nn.Module) -> None:
        """`model`: has `embed(pictures, messages, is_video)` and `detect(pictures, is_video)`."""
        self.model: Any = model.eval()
        self.bits = self._detected(np.zeros((1, _PROBE, _PROBE, 3), np.uint8)).shape[1] - 1

    @classmethod
    def open(cls, path: str | Path, sha256: str) -> Self:
        """The model in a TorchScript file.

        Raises:
            UsageError: the file is missing, is another one than `sha256` says, or holds no such model.
        """
        model = _scripted(path, sha256, methods=("embed", "detect"), where="Video Seal")
        return _built(lambda: cls(model), path, where="Video Seal")

    @torch.no_grad()
    def embed(self, frames: Picture, bits: Signs) -> Picture:
        """Marked pictures, uint8 [n, h, w, 3].

        Args:
            frames: RGB, uint8 [n, h, w, 3].
            bits: +1 or -1, [self.bits].

        Raises:
            UsageError: a message of another length.
        """
        _check_length(bits, self.bits, where="Video Seal")
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0
        marked = self.model.embed(pictures, _message(bits), True)
        levels = (marked.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())

    def read(self, frames: Picture) -> Float64:
        """How likely each bit is +1, as a logit averaged over pictures uint8 [n, h, w, 3], [self.bits]."""
        parts = [self._detected(frames[start : start + _CHUNK]) for start in range(0, len(frames), _CHUNK)]
        # The first channel is the mask of models that find where a picture is marked.
        return np.asarray(np.concatenate(parts)[:, 1:].mean(axis=0))

    @torch.no_grad()
    def _detected(self, frames: Picture) -> Float64:
        """The detector's output [n, 1 + bits]."""
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0
        found: Float64 = self.model.detect(pictures, True).double().numpy()
        return found


class AudioSeal:
    """AudioSeal's mark in sound, 16 bits in the published model: too few for a p-value of their own."""

    def __init__(self, generator: torch.nn.Module, detector: torch.nn.Module) -> None:
        """
        Args:
            generator: has `get_watermark(sound [b, 1, s], rate, message [b, bits])`, as AudioSealWM does.
            detector: gives probabilities [b, 2, s] and the message [b, bits], as AudioSealDetector does.
        """
        self.generator: Any = generator.eval()
        self.detector: Any = detector.eval()
        self.bits = len(self.read(np.zeros((1, _AUDIOSEAL_RATE), np.float32), _AUDIOSEAL_RATE)[0])

    @classmethod
    def open(cls, generator: str | Path, detector: str | Path, *, sha256: tuple[str, str]) -> Self:
        """The models in two TorchScript files; `sha256` of the generator's and of the detector's.

        Raises:
            UsageError: a file is missing, is another one than `sha256` says, or holds no such model.
        """
        writes = _scripted(generator, sha256[0], methods=("get_watermark",), where="AudioSeal generator")
        reads = _scripted(detector, sha256[1], methods=("forward",), where="AudioSeal detector")
        return _built(lambda: cls(writes, reads), detector, where="AudioSeal")

    @torch.no_grad()
    def embed(self, audio: Float32, rate: int, bits: Signs, *, strength: float = 1.0) -> Float32:
        """Marked sound, float32 [c, s]; each channel carries the message.

        Args:
            audio: samples in [-1, 1], float32 [c, s].
            rate: samples per second.
            bits: +1 or -1, [self.bits].
            strength: factor of the mark.

        Raises:
            UsageError: a message of another length.
        """
        _check_length(bits, self.bits, where="AudioSeal")
        low = torch.from_numpy(resampled(audio, rate, _AUDIOSEAL_RATE))[:, None]
        message = _message(bits).long().expand(len(low), -1)
        mark = self.generator.get_watermark(low, _AUDIOSEAL_RATE, message)[:, 0].float().numpy()
        marked = audio + strength * resampled(mark, _AUDIOSEAL_RATE, rate)[:, : audio.shape[1]]
        return np.asarray(np.clip(marked, -1.0, 1.0), np.float32)

    @torch.no_grad()
    def read(self, audio: Float32, rate: int) -> tuple[Float64, float]:
        """The message as logits [self.bits], and the share of samples that the detector holds for marked.

        Args:
            audio: samples, float32 [c, s]; the mean of the channels is read.
            rate: samples per second.
        """
        mono = np.ascontiguousarray(audio.mean(axis=0, keepdims=True, dtype=np.float32))
        low = torch.from_numpy(resampled(mono, rate, _AUDIOSEAL_RATE))[None]
        marked, message = self.detector(low, _AUDIOSEAL_RATE)
        share = float((marked[:, 1] > 0.5).double().mean())
        return torch.logit(message[0].double(), eps=1e-6).numpy(), share


def chance(agreeing: int, bits: int) -> float:
    """The probability that at least so many of `bits` fair coins agree with a given message."""
    return float(sum(math.comb(bits, k) for k in range(agreeing, bits + 1)) / 2**bits)


def _message(bits: Signs) -> torch.Tensor:
    """Bits 0 and 1, float [1, n]."""
    return torch.from_numpy((np.asarray(bits) > 0).astype(np.float32))[None]


def _check_length(bits: Signs, expected: int, *, where: str) -> None:
    if len(bits) != expected:
        raise UsageError(f"{where}: the message has {len(bits)} bits, the model carries {expected}")


def _scripted(
    path: str | Path, sha256: str, *, methods: tuple[str, ...], where: str
) -> torch.jit.ScriptModule:
    """A TorchScript model on the CPU, after its digest was checked."""
    data = read_pinned(path, sha256, where=f"{where}: {path}")
    try:
        load: Callable[..., torch.jit.ScriptModule] = torch.jit.load
        model = load(io.BytesIO(data), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{where}: {path} is no TorchScript file: {reason[:200]}") from None
    missing = [name for name in methods if not hasattr(model, name)]
    if missing:
        raise UsageError(f"{where}: the model in {path} has no method {missing[0]}; it is another one")
    return model


def _built(build: Callable[[], BuiltT], path: str | Path, *, where: str) -> BuiltT:
    """What `build` makes of a model, which it tries on a small input."""
    try:
        return build()
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise UsageError(
            f"{where}: the model in {path} does not answer as expected: {reason[:200]}"
        ) from None
