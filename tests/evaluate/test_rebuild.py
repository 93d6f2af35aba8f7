"""What autoencoders keep of real clips, against the codecs run by hand."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

sys.path.insert(0, str(Path(__file__).parents[1] / "generate"))

from tiny_model import CLIP, files_of, store_model

from benchmarks.degrade import world_footage
from benchmarks.stored import real_clip
from veo_core.errors import UsageError
from veo_core.evaluate.rebuild import reconstruction_rows
from veo_core.generate.pipeline import Generator
from veo_core.media.decode import decode, frames_at
from veo_core.records.clip import Clip
from veo_core.storage import Store
from veo_core.train.runtime import RuntimeConfig


def stored_clip(store: Store, index: int) -> Clip:
    (shown,) = world_footage(1, index, side=CLIP.height)
    return real_clip(shown, "validation", store)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


def test_figures_are_those_of_the_codecs(store):
    files = files_of(store_model(store))
    clips = [stored_clip(store, index) for index in range(3)]
    rows = {row.metric: row for row in reconstruction_rows(files, clips, store, seed=0)}
    assert set(rows) == {"vae_psnr", "vae_ssim", "vae_stft"}
    assert {(row.split, row.mode, row.n) for row in rows.values()} == {("real", "", 3)}
    generator = Generator.load(files, store, RuntimeConfig(bfloat16=False))
    by_hand = []
    for clip in clips:
        with tempfile.TemporaryDirectory() as folder:
            decoded = decode(store.local_path(clip.media, Path(folder)))
        true = decoded.frames[frames_at(decoded, CLIP.fps, CLIP.frames)]
        video = torch.from_numpy(true).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with torch.inference_mode():
            made = generator.video_codec.decode(generator.video_codec.encode(video)).clamp(-1, 1)
        shown = ((made[0] + 1) * 127.5).round()
        truth = ((video[0] + 1) * 127.5).round()
        by_hand.append(float(peak_signal_noise_ratio(shown, truth, data_range=255.0)))
    assert rows["vae_psnr"].value == pytest.approx(np.mean(by_hand), rel=1e-3)
    assert -1 <= rows["vae_ssim"].value <= 1
    assert rows["vae_stft"].value > 0


def test_a_model_whose_file_is_gone_is_explained(store):
    files = files_of(store_model(store, seed=1))
    gone = files.video_vae_weights.model_copy(update={"path": "objects/00/gone.safetensors"})
    with pytest.raises(UsageError, match="missing"):
        reconstruction_rows(
            files.model_copy(update={"video_vae_weights": gone}), [stored_clip(store, 9)], store, seed=0
        )
