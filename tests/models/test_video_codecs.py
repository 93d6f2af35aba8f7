"""Every codec of pictures by one interface, against diffusers called by hand."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from diffusers import AutoencoderKLLTX2Video, AutoencoderKLWan
from diffusers.pipelines.ltx2 import LTX2Pipeline

from veo_core.errors import UsageError
from veo_core.models.codec import VideoCodec
from veo_core.models.codecs import VideoCodecConfig, load_video_codec, open_video_codec
from veo_core.models.files import save_model
from veo_core.models.ltx2 import LTX2VideoCodec
from veo_core.models.video_vae import VideoVAE
from veo_core.models.wan import WanCodec
from veo_core.storage import Store

KINDS = {"wan": "wan", "wan22": "wan", "ltx2": "ltx2"}
NAMES = ("own", *KINDS)
WAN = {
    "base_dim": 8,
    "z_dim": 4,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "latents_mean": [0.1, -0.2, 0.3, 0.4],
    "latents_std": [1.0, 2.0, 0.5, 0.8],
}
WAN22 = {
    **WAN,
    "dim_mult": [1, 1, 1],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
}
LTX2 = {
    "latent_channels": 8,
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("LTX2VideoDownBlock3D",) * 3,
    "decoder_block_out_channels": (8, 16, 16),
    "layers_per_block": (1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1, 1),
    "spatio_temporal_scaling": (True, True, True),
    "decoder_spatio_temporal_scaling": (True, True, True),
    "decoder_inject_noise": (False,) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal"),
    "upsample_type": ("spatiotemporal", "temporal", "spatial"),
    "upsample_residual": (False,) * 3,
    "upsample_factor": (1, 1, 1),
    "patch_size": 2,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights as diffusers saves them: Wan's alone, LTX-2's as part of a pipeline."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("codecs")
    AutoencoderKLWan(**WAN).save_pretrained(root / "wan")
    AutoencoderKLWan(**WAN22).save_pretrained(root / "wan22")
    ltx2 = AutoencoderKLLTX2Video(**LTX2)
    ltx2.latents_mean.copy_(torch.randn(8))
    ltx2.latents_std.copy_(torch.rand(8) + 0.5)
    ltx2.save_pretrained(root / "ltx2" / "vae")
    return {name: root / name for name in KINDS}


@pytest.fixture(scope="module")
def codecs(folders: dict[str, Path]) -> dict[str, VideoCodec]:
    torch.manual_seed(0)
    own = VideoVAE(VideoVAE.Config(width=8, depth=1, latent_channels=4)).eval()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    opened = {
        name: open_video_codec(VideoCodecConfig(kind=KINDS[name], path=str(path)))
        for name, path in folders.items()
    }
    return {"own": own, **opened}


def clip(frames: int) -> torch.Tensor:
    return torch.rand(2, 3, frames, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("kind", "time", "space"), [("own", 4, 4), ("wan", 4, 4), ("wan22", 4, 8), ("ltx2", 4, 8)]
)
def test_latents_have_the_shape_that_the_factors_derive_and_decode_to_the_clip(codecs, kind, time, space):
    codec, video = codecs[kind], clip(1 + 2 * time)
    assert (codec.factors.time, codec.factors.space) == (time, space)
    latents = codec.encode(video)
    assert latents.shape == (2, codec.channels, *codec.factors.latent_shape(*video.shape[2:]))
    pictures = codec.decode(latents)
    assert pictures.shape == video.shape
    assert pictures.abs().max() <= 1.0


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("latent_frames", [1, 2])
def test_prefix_of_a_clip_has_a_prefix_of_its_latents(codecs, kind, latent_frames):
    codec, video = codecs[kind], clip(9)
    frames = 1 + codec.factors.time * (latent_frames - 1)
    prefix = codec.encode(video[:, :, :frames])
    torch.testing.assert_close(prefix, codec.encode(video)[:, :, :latent_frames], atol=1e-4, rtol=1e-4)


def test_wan_latents_are_those_of_diffusers_normalised_by_its_configuration(codecs, folders):
    reference = AutoencoderKLWan.from_pretrained(folders["wan"]).eval()
    video = clip(5)
    mean, std = (torch.tensor(WAN[f"latents_{name}"]).view(4, 1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        raw = reference.encode(video).latent_dist.mode()
        pictures = reference.decode(raw).sample
    torch.testing.assert_close(codecs["wan"].encode(video), (raw - mean) / std)
    torch.testing.assert_close(codecs["wan"].decode((raw - mean) / std), pictures)


def test_ltx2_latents_are_those_of_its_pipeline(codecs, folders):
    reference = AutoencoderKLLTX2Video.from_pretrained(folders["ltx2"] / "vae").eval()
    video = clip(5)
    with torch.no_grad():
        raw = reference.encode(video).latent_dist.mode()
        pictures = reference.decode(raw).sample.clamp(-1, 1)
    expected = LTX2Pipeline._normalize_latents(
        raw, reference.latents_mean, reference.latents_std, reference.config.scaling_factor
    )
    torch.testing.assert_close(codecs["ltx2"].encode(video), expected)
    torch.testing.assert_close(codecs["ltx2"].decode(expected), pictures, atol=1e-5, rtol=1e-4)


def test_own_latents_of_other_clips_are_standard_once_the_statistics_are_measured():
    torch.manual_seed(0)
    codec = VideoVAE(VideoVAE.Config(width=8, depth=1, latent_channels=4)).eval()
    with torch.no_grad():
        codec.statistics.measure(codec.posterior(torch.rand(8, 3, 9, 16, 24) * 2 - 1).mean)
    std = codec.encode(torch.rand(8, 3, 9, 16, 24) * 2 - 1).transpose(0, 1).flatten(1).std(1)
    assert ((std > 0.9) & (std < 1.1)).all()


@pytest.mark.parametrize("kind", NAMES)
def test_stored_codec_is_loaded_as_it_was(codecs, kind, tmp_path):
    store, video = Store(str(tmp_path)), clip(5)
    files = save_model(codecs[kind], store)
    loaded = load_video_codec(files, store)
    assert type(loaded) is type(codecs[kind])
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    torch.testing.assert_close(loaded.encode(video), codecs[kind].encode(video))


def test_codec_at_a_uri_is_the_one_of_the_folder(codecs, folders):
    memory = fsspec.filesystem("memory")
    memory.put(str(folders["wan"]), "/bucket/wan", recursive=True)
    codec = open_video_codec(VideoCodecConfig(kind="wan", path="memory://bucket/wan"))
    torch.testing.assert_close(codec.encode(clip(5)), codecs["wan"].encode(clip(5)))


@pytest.mark.parametrize("kind", NAMES)
def test_clip_when_it_does_not_fit_then_encoding_says_so(codecs, kind):
    with pytest.raises(UsageError, match=r"6 frames do not fit the video codec: give it 1 \+ 4k of them"):
        codecs[kind].encode(clip(6))


def copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_folder_when_it_is_missing_or_holds_no_safe_weights_then_it_says_how_to_mend(folders, tmp_path):
    with pytest.raises(UsageError, match=r"nowhere is no folder"):
        WanCodec.open(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"holds no config.json, nor a sub-folder vae"):
        WanCodec.open(str(tmp_path))
    with pytest.raises(UsageError, match="holds no model"):
        WanCodec.open("memory://bucket/nothing")
    pickled = copy(folders["wan"], tmp_path / "pickled")
    weights = pickled / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UsageError, match=r"holds no \.safetensors; .* pickles, which are never loaded"):
        WanCodec.open(str(pickled))


def test_folder_when_its_weights_are_damaged_then_it_says_so(folders, tmp_path):
    damaged = copy(folders["wan"], tmp_path / "damaged")
    weights = damaged / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UsageError, match=r"wan codec .*damaged: cannot be loaded: [^\n]+$"):
        WanCodec.open(str(damaged))


def test_folder_when_its_weights_are_of_another_configuration_then_it_says_so(folders, tmp_path):
    other = copy(folders["wan"], tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"base_dim": 16}))
    with pytest.raises(UsageError, match=r"wan codec .*other: cannot be loaded: [^\n]+$"):
        WanCodec.open(str(other))
    (other / "config.json").write_text(json.dumps(config | {"num_res_blocks": 2}))
    with pytest.raises(UsageError, match=r"other: the weights belong to another configuration: [^\n]+$"):
        WanCodec.open(str(other))


def test_stored_codec_when_its_kind_is_unknown_then_the_known_ones_are_named(tmp_path):
    store = Store(str(tmp_path))
    files = {"config": store.put_bytes(b'{"kind": "h3"}', ".json")}
    with pytest.raises(UsageError, match="unknown kind 'h3' of video codec; known: own, wan, ltx2"):
        load_video_codec(files, store)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "wan"}, "kind wan needs path"),
        ({"path": "somewhere"}, "kind own is trained by the pipeline"),
        ({"kind": "oobleck", "path": "x"}, "'own', 'wan' or 'ltx2'"),
    ],
)
def test_recipe_when_it_names_no_fitting_codec_then_it_is_refused(value, message):
    with pytest.raises(UsageError, match=message):
        VideoCodecConfig.parse(value, where="codec")


WAN_2_1: dict[str, Any] = {}
WAN_2_2 = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}


@pytest.mark.parametrize(("values", "space", "channels"), [(WAN_2_1, 8, 16), (WAN_2_2, 16, 48)])
def test_wan_factors_are_those_of_the_released_models(values, space, channels):
    with torch.device("meta"):
        codec = WanCodec(WanCodec.Config(autoencoder=values))
    assert (codec.factors.time, codec.factors.space, codec.channels) == (4, space, channels)


def test_ltx2_factors_are_those_of_the_released_model():
    with torch.device("meta"):
        codec = LTX2VideoCodec(LTX2VideoCodec.Config(autoencoder={}))
    assert (codec.factors.time, codec.factors.space, codec.channels) == (8, 32, 128)
