import io
import os
import subprocess
import sys

import numpy as np
import pytest

from veo_core.media.decode import decode
from veo_core.media.encode import encode

SCRIPT = """
import hashlib, sys
import numpy as np
from veo_core.media.encode import encode

rng = np.random.default_rng(0)
digest = hashlib.sha256()
for side in (64, 96, 128):
    frames = rng.integers(30, 39, (34, side, side, 3), dtype=np.uint8)
    for index in range(34):
        frames[index, 20:40, index : index + 20] = (230, 40, 40)
    audio = rng.normal(0, 0.1, (1, 96_000)).astype(np.float32)
    encode(sys.argv[1], frames, fps=16, audio=audio)
    digest.update(open(sys.argv[1], "rb").read())
print(digest.hexdigest())
"""


def test_equal_input_gives_equal_bytes_whatever_fresh_memory_holds(tmp_path):
    """MALLOC_PERTURB_ fills fresh memory, so that a read of what was never written shows."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "a.mp4")],
            env={**os.environ, "MALLOC_PERTURB_": fill},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for fill in ("0", "85", "255")
    }
    assert len(digests) == 1


def test_encoding_into_a_buffer_gives_a_file_that_plays(tmp_path):
    frames = np.full((8, 32, 32, 3), 90, np.uint8)
    sink = io.BytesIO()
    encode(sink, frames, fps=8, audio=np.zeros((2, 48_000), np.float32))
    path = tmp_path / "a.mp4"
    path.write_bytes(sink.getvalue())
    decoded = decode(path)
    assert decoded.frames.shape == (8, 32, 32, 3)
    assert decoded.audio.shape[0] == 2
    assert decoded.seconds == pytest.approx(1.0, abs=1e-3)


def test_index_comes_before_the_media_so_that_files_stream(tmp_path):
    path = tmp_path / "a.mp4"
    encode(path, np.full((8, 32, 32, 3), 90, np.uint8), fps=8)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
