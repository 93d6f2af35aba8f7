"""What the output judge sees and hears of a generated clip."""

import io
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError
from veo_core.judges.batch import Evidence
from veo_core.media.decode import decode
from veo_core.media.sound import wav_bytes
from veo_core.records.files import FileRef
from veo_core.storage import Store

_JPEG_QUALITY = 95
