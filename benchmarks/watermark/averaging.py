"""Attacks by who has many marked clips of one key and no original: averaging their residuals."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.report import Row
from benchmarks.watermark.clips import UInt8, clip_of
from veo_core.evaluate.intervals import wilson
from veo_core.progress import track
from veo_core.watermark.keys import Key
from veo_core.watermark.mark import mark, read
from veo_core.watermark.payload import Payload

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Clips that are averaged; one is no average but a copy, told for comparison."""
_ATTACK_PSNR_DB = 36.0  # what the attacker lets the picture lose

Float32 = npt.NDArray[np.float32]


def rows(key: Key, used_seed: int, clips: int, targets: int) -> Iterator[Row]:
    """Shares of clips whose mark is removed or forged with the average of so many clips' residuals.

    The attacker takes off each clip what a blur over space leaves and the mean over time, averages it over
    clips and adds it to unmarked clips, or takes it from marked ones, as strongly as 36 dB allow.
    """
    residuals = [
        _residual(mark(clip_of(number, used_seed).frames[::4], None, 0, _payload(number), [key])[0])
        for number in track(range(clips), total=clips, label="marked clips")
    ]
    others = [clip_of(1_000 + number, used_seed).frames[::4] for number in range(targets)]
    marked = [mark(frames, None, 0, _payload(1_000 + n), [key])[0] for n, frames in enumerate(others)]
    for count in (count for count in COUNTS if count <= clips):
        pattern = np.mean(residuals[:count], axis=0)
        pattern *= 255 / 10 ** (_ATTACK_PSNR_DB / 20) / pattern.std()
        forged = [read(_added(frames, pattern), None, 0, [key]) for frames in others]
        removed = [read(_added(frames, -pattern), None, 0, [key]) for frames in marked]
        name = "a copy of one clip's residual" if count == 1 else f"average of {count} clips"
        bar = None if count == 1 else 0.0
        payloads = wilson(sum(reading.payload is not None for reading in forged), targets)
        found = wilson(sum(reading.detected for reading in forged), targets)
        flagged = wilson(sum(reading.mixed for reading in forged), targets)
        gone = wilson(sum(not reading.detected for reading in removed), targets)
        lost = wilson(sum(reading.payload is None for reading in removed), targets)
        for words, share, most in (
            ("added: a payload is forged", payloads, bar),
            ("added: detected", found, None),
            ("added: flagged as mixed", flagged, None),
            ("taken away: mark no longer detected", gone, bar),
            ("taken away: payload no longer read", lost, None),
        ):
            assert share.value is not None
            yield Row(f"{name} {words}", share.value, "share", share.low, share.high, target=most, op="<=")


def _payload(number: int) -> Payload:
    return Payload(model_id=0x2026, generation_id=number)


def _residual(frames: UInt8) -> Float32:
    """The mean over time of luma without its blurred copy, float32 [h, w]."""
    left = np.zeros(frames.shape[1:3], np.float32)
    for frame in frames:
        luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        left += np.clip(luma - cv2.GaussianBlur(luma, (0, 0), 6), -12, 12)
    return left / np.float32(len(frames))


def _added(frames: UInt8, pattern: Float32) -> UInt8:
    return np.asarray(np.clip(np.rint(frames + pattern[..., None]), 0, 255), dtype=np.uint8)
