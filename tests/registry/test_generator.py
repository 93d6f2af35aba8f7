"""A registered model can be loaded again and generates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_evidence import Evidence

from veo_core.cli.model_reference import find_model
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import save_model
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.drawing import CascadeSampler, Drawing, SamplerConfig
from veo_core.registry.generator import load_generator
from veo_core.registry.local import list_models, load
from veo_core.registry.records import ModelDescription
from veo_core.storage import Store

CLIP = ClipSpec(frames=9, height=32, width=32)
DRAWING = Drawing(sampler=SamplerConfig(steps=3, video_guidance=1.5), cascade=CascadeSampler(start=0.1))
VOCABULARY = Vocabulary.from_captions(["a red circle moving left"])


@pytest.fixture
def registered(tmp_path: Path) -> Store:
    """A store with an untrained model as veo-world@1."""
    torch.manual_seed(0)
    store = Store(str(tmp_path / "store"))
    text = TextEncoder.Config(vocabulary=VOCABULARY)
    models = {
        "video_vae": VideoVAE(VideoVAE.Config(width=8, depth=1)),
        "audio_vae": AudioVAE(AudioVAE.Config(width=8, depth=1)),
        "base": JointTransformer(JointTransformer.Config(clip=CLIP, text=text, width=32, depth=1, heads=2)),
        "upsampler": Upsampler(Upsampler.Config(width=8, depth=1)),
    }
    files = {part: save_model(model, store) for part, model in models.items()}
    Evidence(store, files=files, drawing=DRAWING).register()
    return store


def test_registered_model_generates_a_clip_with_sound(registered):
    generator = load_generator(registered, "veo-world@latest")
    (film,) = generator(["a red circle moving left"], steps=1)
    assert film.frames.shape == (9, 32, 32, 3)
    assert film.audio.shape == (CLIP.samples,)


def test_registered_model_loaded_twice_generates_the_same(registered):
    films = [
        load_generator(registered, "veo-world@1")(["a red circle"], seed=3, steps=1)[0] for _ in range(2)
    ]
    assert np.array_equal(films[0].frames, films[1].frames)
    assert np.array_equal(films[0].audio, films[1].audio)


def test_registered_model_draws_as_it_was_evaluated(registered):
    generator = load_generator(registered, "veo-world@1")
    assert generator.drawing == DRAWING
    (usual,) = generator(["a red circle"], seed=3)
    (told,) = generator(["a red circle"], seed=3, sampler=DRAWING.sampler, cascade=DRAWING.cascade)
    (other,) = generator(["a red circle"], seed=3, cascade=CascadeSampler())
    assert np.array_equal(usual.frames, told.frames)
    assert not np.array_equal(usual.frames, other.frames)


def test_model_that_says_nothing_of_its_drawing_draws_the_usual_way(registered):
    described = load(registered, "veo-world@1").description
    earlier = {key: value for key, value in described.model_dump(mode="json").items() if key != "drawing"}
    assert ModelDescription.parse(earlier, where="entry").drawing is None
    assert Generator.load(described.files, registered).drawing == Drawing()


def test_registered_model_with_altered_weights_does_not_load(registered, tmp_path):
    for path in (tmp_path / "store").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match="was altered"):
        load_generator(registered, "veo-world@1")


def test_model_is_found_by_its_name_and_by_its_version(registered, tmp_path):
    found = [find_model(name, store=registered, runs_dir=tmp_path) for name in ("veo-world", "veo-world@1")]
    entry = load(registered, "veo-world@latest")
    assert found[0] == found[1]
    assert found[0].files == entry.description.files
    assert found[0].drawing == DRAWING
    identity = found[0].identity
    assert (identity.reference, identity.entry) == ("veo-world@1", list_models(registered)[0].entry.sha256)
    assert identity.digest == entry.description.files.digest


def test_unknown_model_names_those_that_are_registered(registered, tmp_path):
    with pytest.raises(UsageError, match="registered: veo-world"):
        find_model("veo-wold", store=registered, runs_dir=tmp_path)
