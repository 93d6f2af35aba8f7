"""What a judge is shown of a prepared clip: frames across it with its sound, or the file itself."""

import tempfile
import threading
from pathlib import Path

import av
import cv2
import numpy as np

from veo_core.judges.evidence import Evidence
from veo_core.media.geometry import Scaler
from veo_core.media.opening import Limits, open_media, undecodable
from veo_core.media.passes import Pass, Sound
from veo_core.media.sound import wav_bytes
from veo_core.records.clip import Clip
from veo_core.storage import Store

_JPEG_QUALITY = 92


class ClipEvidence:
    """Loads evidence of clips. It decodes few clips at one time, so that memory does not follow the number
    of requests in flight.

    Args:
        store: where the clips are.
        kinds: any of "frames", "sound" and "video".
        frames: how many pictures, spread evenly from the first to the last.
        frame_side: longest side of the pictures, pixels.
        audio_rate: samples per second of the sound.
        workers: how many clips are decoded at one time.
    """

    def __init__(
        self, store: Store, kinds: list[str], *, frames: int, frame_side: int, audio_rate: int, workers: int
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._frames = frames
        self._side = frame_side
        self._rate = audio_rate
        self._decoding = threading.Semaphore(max(1, workers))

    @property
    def identity(self) -> str:
        """What decides on the evidence besides the clip's bytes."""
        return f"{'+'.join(sorted(self._kinds))}, {self._frames} frames, {self._side} px, {self._rate} Hz"

    def __call__(self, clip: Clip) -> Evidence:
        """The evidence of one clip.

        Raises:
            ItemError: the clip cannot be decoded.
        """
        with tempfile.TemporaryDirectory(prefix="veo-evidence-") as folder:
            path = self._store.local_path(clip.media, Path(folder))
            images: tuple[bytes, ...] = ()
            audio = None
            if set(self._kinds) & {"frames", "sound"}:
                with self._decoding:
                    images, audio = self._decode(path, clip)
            video = path.read_bytes() if "video" in self._kinds else None
        return Evidence(images=images, audio=audio, video=video)

    def _decode(self, path: Path, clip: Clip) -> tuple[tuple[bytes, ...], bytes | None]:
        count = clip.facts.frames
        chosen = set(np.linspace(0, count - 1, min(self._frames, count)).round().astype(int).tolist())
        pictures = []
        limits = Limits()
        scaler = Scaler()
        try:
            with open_media(path, limits) as container:
                frames = Pass(
                    container, limits, pictures="frames" in self._kinds, sound="sound" in self._kinds
                )
                sound = Sound(frames.audio, rate=self._rate, channels=1) if frames.audio else None
                for frame in frames.frames():
                    if isinstance(frame, av.AudioFrame):
                        assert sound is not None
                        sound.add(frame)
                    elif len(frames.times) - 1 in chosen:
                        pictures.append(_jpeg(frame, scaler, self._side))
                samples = sound.samples(0.0) if sound else None
        except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
            raise undecodable(error) from None
        return tuple(pictures), None if samples is None else wav_bytes(samples[0], self._rate)


def _jpeg(frame: av.VideoFrame, scaler: Scaler, side: int) -> bytes:
    scale = min(1.0, side / max(frame.height, frame.width))
    height, width = max(1, round(frame.height * scale)), max(1, round(frame.width * scale))
    picture = scaler(frame, height, width, "bgr24").to_ndarray()
    written, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert written
    return data.tobytes()
