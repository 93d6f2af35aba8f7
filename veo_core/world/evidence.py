"""Pictures and sound from request bodies, within limits; nothing is ever fetched."""

import base64
import binascii
import io
import struct
import wave

import cv2
import numpy as np
import numpy.typing as npt

MAX_PICTURES = 32
MAX_PIXELS = 1 << 25  # of all pictures of a request together
MAX_SOUND_SECONDS = 300.0

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers: C0 to CF without the tables C4, C8, CC (ITU-T T.81, table B.1).
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class EvidenceError(ValueError):
    """A picture or a sound that cannot be read, or that is too large."""


def pictures_of(urls: list[str]) -> list[npt.NDArray[np.uint8]]:
    """The RGB pictures, uint8 [h, w, 3], of `data:` URIs with a JPEG or PNG file.

    Raises:
        EvidenceError: another kind of URL or file, a damaged file, or too many pictures or pixels.
    """
    if len(urls) > MAX_PICTURES:
        raise EvidenceError(f"{len(urls)} pictures, at most {MAX_PICTURES} are allowed")
    files = [_file_of(url) for url in urls]
    pixels = sum(height * width for height, width in map(_dimensions, files))
    if pixels > MAX_PIXELS:
        raise EvidenceError(f"{pixels} pixels of pictures, at most {MAX_PIXELS} are allowed")
    return [_decoded(file) for file in files]


def sound_of(data: str) -> tuple[npt.NDArray[np.float32], int]:
    """The samples in [-1, 1], float32 [c, l], and the rate of a base64 WAV file of 16-bit samples.

    Raises:
        EvidenceError: another kind of file, a damaged file, or too long a sound.
    """
    try:
        with wave.open(io.BytesIO(_bytes_of(data, "the sound"))) as stream:
            channels, rate, length = stream.getnchannels(), stream.getframerate(), stream.getnframes()
            if stream.getsampwidth() != 2 or rate <= 0:
                raise EvidenceError(f"the sound has samples of {8 * stream.getsampwidth()} bits, not 16")
            if length / rate > MAX_SOUND_SECONDS:
                raise EvidenceError(
                    f"the sound lasts {length / rate:.0f} s, at most {MAX_SOUND_SECONDS:.0f} s are allowed"
                )
            samples = np.frombuffer(stream.readframes(length), dtype="<i2")
    except (wave.Error, EOFError, struct.error) as error:
        raise EvidenceError(f"the sound is no WAV file: {error or 'it ends too early'}") from None
    whole = samples[: len(samples) // channels * channels].reshape(-1, channels).T
    return whole.astype(np.float32) / 32768.0, rate


def _file_of(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not head.startswith("data:"):
        raise EvidenceError(
            f"image URL {url[:60]!r} is not fetched: send the picture itself as a data: URI with base64"
        )
    if not comma or not head.endswith(";base64"):
        raise EvidenceError("the data: URI of a picture holds no base64 data")
    return _bytes_of(data, "a picture")


def _bytes_of(data: str, what: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceError(f"{what} is not valid base64") from None


def _dimensions(file: bytes) -> tuple[int, int]:
    """Height and width from a picture's header, so that nothing oversized is decoded."""
    try:
        if file.startswith(_PNG):
            width, height = struct.unpack_from(">II", file, 16)
            return height, width
        if file.startswith(_JPEG):
            return _jpeg_dimensions(file)
    except (struct.error, IndexError):
        raise EvidenceError("a picture's file is damaged: its header has no size") from None
    raise EvidenceError("a picture is neither JPEG nor PNG")


def _jpeg_dimensions(file: bytes) -> tuple[int, int]:
    position = 2
    while True:
        marker = file[position + 1]
        if file[position] != 0xFF or marker in (0xD9, 0xDA):  # end of image, start of scan
            raise IndexError
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", file, position + 5)
            return height, width
        if marker == 0xFF:  # fill byte
            position += 1
        else:
            position += 2 + int.from_bytes(file[position + 2 : position + 4])


def _decoded(file: bytes) -> npt.NDArray[np.uint8]:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(file, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise EvidenceError("a picture's file is damaged")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
