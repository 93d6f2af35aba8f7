"""How tutorials on video data usually do it, written anew for comparison: do not use it."""

from pathlib import Path

import cv2
import imageio
import numpy as np
import numpy.typing as npt
from skimage.transform import resize


def key_frames(path: Path, folder: Path) -> list[Path]:
    """First, middle and last frame as PNG files, sought by index with OpenCV."""
    reader = cv2.VideoCapture(str(path))
    count = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    files = []
    for index in (0, count // 2, count - 1):
        reader.set(cv2.CAP_PROP_POS_FRAMES, index)
        found, picture = reader.read()
        if found:
            files.append(folder / f"{index}.png")
            cv2.imwrite(str(files[-1]), picture)
    reader.release()
    return files


def frames_at_shares(path: Path, shares: npt.NDArray[np.float64]) -> list[npt.NDArray[np.uint8] | None]:
    """The frames at shares of a file's length, 0 to 1, sought by index; None where none could be read."""
    reader = cv2.VideoCapture(str(path))
    count = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    pictures = []
    for share in shares:
        reader.set(cv2.CAP_PROP_POS_FRAMES, round(share * (count - 1)))
        found, picture = reader.read()
        pictures.append(picture if found else None)
    reader.release()
    return pictures


def trim(path: Path, target: Path, seconds: float) -> None:
    """The first seconds as MPEG-4 by OpenCV, which knows no sound."""
    reader = cv2.VideoCapture(str(path))
    rate = reader.get(cv2.CAP_PROP_FPS)
    size = (int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    for _ in range(int(seconds * rate)):
        found, picture = reader.read()
        if not found:
            break
        writer.write(picture)
    writer.release()
    reader.release()


def load(path: Path, frames: int, side: int) -> npt.NDArray[np.float64]:
    """A training item: every frame read by imageio and resized by skimage, of which `frames` are used."""
    with imageio.get_reader(path, "ffmpeg") as reader:
        pictures = [resize(picture, (side, side)) for picture in reader]  # type: ignore[attr-defined]
    chosen = np.linspace(0, len(pictures) - 1, frames).astype(int)
    return np.stack([pictures[index] for index in chosen])


def model_calls(clips: int) -> int:
    """Calls of a language model that compares each pair of clips once."""
    return clips * (clips - 1) // 2
