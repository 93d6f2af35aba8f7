"""What is said where a stored model cannot be loaded; nothing is loaded in part."""

import pytest
import torch

from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import load_stored, save_model
from veo_core.storage import Store

CONFIG = AudioVAE.Config(mel_bins=8, width=8, depth=1, latent_channels=2)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path))


def test_model_is_loaded_as_it_was_stored_frozen_and_in_evaluation(store):
    model = AudioVAE(CONFIG)
    model.statistics.measure(torch.randn(16, 2, 5) + 3.0)
    loaded = load_stored(AudioVAE, save_model(model, store), store, where="audio VAE")
    assert loaded.config == CONFIG
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize("name", ["weights", "config"])
def test_model_when_a_file_is_gone_then_its_name_is_told(store, name):
    files = save_model(AudioVAE(CONFIG), store)
    store.remove_object(files[name].path)
    with pytest.raises(UsageError, match=rf"audio VAE {name}: .*is missing; run its stage again$"):
        load_stored(AudioVAE, files, store, where="audio VAE")
    del files[name]
    with pytest.raises(UsageError, match=rf"audio VAE: its stage published no {name}; run the stage again"):
        load_stored(AudioVAE, files, store, where="audio VAE")


def test_model_when_its_weights_were_altered_or_are_no_safetensors_then_it_says_so(store, tmp_path):
    files = save_model(AudioVAE(CONFIG), store)
    path = tmp_path / files["weights"].path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"audio VAE weights: .*was altered: its sha256 does not match"):
        load_stored(AudioVAE, files, store, where="audio VAE")
    files["weights"] = store.put_bytes(b"\x80\x04 a pickle", ".safetensors")
    with pytest.raises(UsageError, match="audio VAE weights: not a safetensors file"):
        load_stored(AudioVAE, files, store, where="audio VAE")


def test_model_when_the_weights_are_of_another_configuration_then_the_first_difference_is_named(store):
    files = save_model(AudioVAE(CONFIG), store)
    other = CONFIG.model_copy(update={"width": 16})
    files["config"] = store.put_bytes(other.to_bytes(), ".json")
    message = (
        r"audio VAE weights: they belong to another configuration: decoder\.0\.bias has shape \(8,\), "
        r"expected \(16,\)"
    )
    with pytest.raises(UsageError, match=message):
        load_stored(AudioVAE, files, store, where="audio VAE")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{", "audio VAE config: not valid JSON"),
        (b'{"widht": 8}', "unknown key 'widht'; did you mean 'width'"),
    ],
)
def test_model_when_its_configuration_is_broken_then_it_says_so(store, config, message):
    files = {**save_model(AudioVAE(CONFIG), store), "config": store.put_bytes(config, ".json")}
    with pytest.raises(UsageError, match=message):
        load_stored(AudioVAE, files, store, where="audio VAE")
