"""The tutorial's design as it is compared: its tokens, its steps, its clips."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.model.tutorial_model import (
    Stream,
    Transformer,
    audio_latents,
    audio_tokens,
    video_latents,
    video_tokens,
)
from benchmarks.model.tutorial_training import Clips, Size, Tutorial, load
from veo_core.data.spec import ClipSpec
from veo_core.media.encode import encode
from veo_core.models.text import Vocabulary

CLIP = ClipSpec(frames=17, height=32, width=32)
VOCABULARY = Vocabulary.from_captions(["a red circle", "a blue cross"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for number, level in enumerate((60, 200)):
        frames = np.full((17, 64, 64, 3), level, np.uint8)
        audio = 0.5 * np.sin(np.arange(96_000) / 20, dtype=np.float32)[None]
        buffer = io.BytesIO()
        encode(buffer, frames, fps=8.0, audio=audio, audio_rate=48_000)
        paths.append(folder / f"{number}.mp4")
        paths[-1].write_bytes(buffer.getvalue())
    return Clips(paths, ["a red circle", "a blue cross"])


def tutorial() -> Tutorial:
    torch.manual_seed(0)
    return Tutorial(CLIP, VOCABULARY, Size(base=24, upsampler=16, video=8, audio=8, depth=1, heads=2))


def test_tokens_and_back_are_the_same_latents():
    video, audio = torch.randn(2, 4, 8, 4, 6), torch.randn(2, 16, 1000)
    torch.testing.assert_close(video_latents(video_tokens(video), 4, 6), video)
    assert audio_tokens(audio).shape == (2, 62, 256)
    torch.testing.assert_close(audio_latents(audio_tokens(audio)), audio[:, :, : 62 * 16])


def test_a_token_holds_a_block_of_two_by_two_latents():
    latents = torch.zeros(1, 4, 8, 4, 4)
    latents[0, :, 3, 2:, :2] = 1.0
    tokens = video_tokens(latents)
    assert tokens.shape == (1, 8 * 2 * 2, 16)
    assert tokens.sum(2).nonzero().tolist() == [[0, 3 * 4 + 2]]


def test_streams_that_are_given_are_not_predicted():
    model = Transformer((Stream(5, 3), Stream(4, 2, predicted=False)), 10, width=16, depth=1, heads=2)
    out = model((torch.randn(2, 5, 3), torch.randn(2, 4, 2)), torch.tensor([0, 999]), torch.ones(2, 6).long())
    assert [part.shape for part in out] == [(2, 5, 3)]


def test_loading_reads_the_first_pictures_and_the_sound(files: Clips):
    pictures, sound = load(files.paths[1], CLIP)
    assert pictures.shape == (3, 16, 32, 32)
    assert abs(int(pictures.mean()) - 200) < 6
    assert sound.shape == (CLIP.samples,)
    assert 0.2 < np.abs(sound).mean() < 0.4


@pytest.mark.parametrize("upsampling", [False, True])
def test_training_lowers_its_loss_and_tells_what_took_the_time(files: Clips, upsampling: bool):
    models = tutorial()
    spent, losses = models.fit(
        files, until=lambda spent: spent.clips >= 120, upsampling=upsampling, batch=4, rate=3e-3
    )
    assert np.mean(losses[-5:]) < 0.9 * losses[0]
    assert spent.clips == 4 * len(losses) == 120
    assert spent.seconds == spent.loading + spent.encoding + spent.learning
    assert min(spent.loading, spent.encoding, spent.learning) > 0


def test_generated_clips_have_sound_and_follow_from_the_seed():
    models = tutorial()
    films = models.generate(["a red circle", "a blue cross"], seed=1, steps=3)
    again = models.generate(["a red circle", "a blue cross"], seed=1, steps=3)
    assert films[0].frames.shape == (16, 32, 32, 3)
    assert films[0].audio.shape == (62 * 16 * 32,)
    np.testing.assert_array_equal(films[1].frames, again[1].frames)
    assert (films[0].frames != films[1].frames).any()


def test_files_that_are_no_clip_are_an_error(tmp_path: Path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no clip")
    with pytest.raises(Exception, match="nvalid"):
        load(path, CLIP)
