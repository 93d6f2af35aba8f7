"""A clip and who signs it."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from veo_core.media.encode import encode
from veo_core.provenance.claim import GenerationClaim, SoftBinding
from veo_core.provenance.credentials import Credentials, load_credentials


@pytest.fixture(scope="session")
def mp4() -> bytes:
    """A small clip with sound."""
    pictures = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    target = io.BytesIO()
    encode(target, pictures, fps=8.0, audio=np.zeros((1, 48_000), np.float32))
    return target.getvalue()


@pytest.fixture(scope="session")
def claim() -> GenerationClaim:
    return GenerationClaim(
        model="veo-world@2",
        model_digest="a" * 64,
        entry_digest="b" * 64,
        prompt_sha256="c" * 64,
        seed=7,
        mode="t2v",
        soft_binding=SoftBinding(payload="aaaa0123abcd", key_id="01234567"),
    )


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """The local certificate of a machine that never signed before."""
    return load_credentials({"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config"))})
