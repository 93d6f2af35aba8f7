"""A recipe that names codecs of others: from their folders to the latents that the base model trains on."""

from pathlib import Path

import pytest
import torch
from conftest import SPEC, context
from diffusers import AutoencoderKLWan, AutoencoderOobleck

from veo_core.data.latents import LatentBucket, load_latents
from veo_core.errors import UsageError
from veo_core.models.codecs import load_audio_codec, load_video_codec
from veo_core.models.oobleck import OobleckSound
from veo_core.models.text import Vocabulary
from veo_core.models.transformer import JointTransformer, Modality
from veo_core.models.wan import WanCodec
from veo_core.records.manifest import Manifest
from veo_core.train import audio_vae, base, encode_latents, video_vae

RUNTIME = {"accelerator": "cpu", "bfloat16": False}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    torch.manual_seed(0)
    root: Path = tmp_path_factory.mktemp("codecs")
    AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).save_pretrained(root / "wan")
    AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[8, 8],
        channel_multiples=[1, 1],
        decoder_channels=8,
        decoder_input_channels=4,
        sampling_rate=11_025,
    ).save_pretrained(root / "oobleck")
    return {"wan": str(root / "wan"), "oobleck": str(root / "oobleck")}


@pytest.fixture(scope="module")
def stages(store, dataset, folders) -> dict[str, Manifest]:
    shared = {"clip_spec": SPEC, "runtime": RUNTIME}
    video = video_vae.VideoVAETraining.model_validate(
        {**shared, "codec": {"kind": "wan", "path": folders["wan"]}}
    )
    audio = audio_vae.AudioVAETraining.model_validate(
        {**shared, "codec": {"kind": "oobleck", "path": folders["oobleck"]}}
    )
    made = {
        "video_vae": video_vae.run(dataset=dataset, config=video, context=context(store, "video_vae", "wan")),
        "audio_vae": audio_vae.run(dataset=dataset, config=audio, context=context(store, "audio_vae", "oob")),
    }
    encoding = encode_latents.LatentEncoding.model_validate(shared)
    made["latents"] = encode_latents.run(
        dataset=dataset, **made, config=encoding, context=context(store, "encode_latents", "others")
    )
    return made


def trained_on(store, stages) -> LatentBucket:
    (bucket,) = load_latents(stages["latents"], store)["train"]
    return bucket


def test_stages_publish_the_codecs_with_what_was_measured(store, stages, folders):
    assert {"base_psnr", "full_psnr", "parameters"} <= set(stages["video_vae"].metrics)
    video = load_video_codec(stages["video_vae"].files, store)
    opened = WanCodec.open(folders["wan"])
    clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    torch.testing.assert_close(video.encode(clip), opened.encode(clip))
    audio = load_audio_codec(stages["audio_vae"].files, store, trained_on(store, stages).layout.clip)
    assert isinstance(audio.autoencoder, OobleckSound)
    assert audio.autoencoder.measured


def test_latents_are_laid_out_as_the_codecs_divide_the_clip(store, stages):
    bucket = trained_on(store, stages)
    layout, clip = bucket.layout, bucket.layout.clip
    assert (clip.video.time, clip.video.space) == (4, 4)
    assert (clip.audio.rate, clip.audio.step) == (11_025, 64)
    assert (layout.video_channels, layout.audio_channels) == (4, 4)
    tensors = bucket.read(range(len(bucket))).tensors
    assert tensors["video"].shape == (6, 4, 3, 4, 4)
    assert tensors["audio"].shape == (6, 4, 173)  # 11025 samples in latents of 64, the last one padded
    audio = tensors["audio"].float().transpose(0, 1).flatten(1)
    assert ((audio.std(1) > 0.9) & (audio.std(1) < 1.1)).all()


def test_base_model_takes_latents_of_such_codecs(store, stages):
    layout = trained_on(store, stages).layout
    config = base.BaseTraining(width=32, depth=1, heads=2).model_config_for(layout, Vocabulary(words=("a",)))
    model = JointTransformer(config)
    video = Modality(torch.randn(2, *config.video_shape), torch.full((2, 3), 0.5))
    audio = Modality(torch.randn(2, *config.audio_shape), torch.full((2, 1), 0.5))
    velocities = model(video, audio, config.text.vocabulary.tokens(["a", ""], config.text.length))
    assert [velocity.shape for velocity in velocities] == [(2, 4, 3, 4, 4), (2, 4, 173)]


def test_stage_when_the_clips_do_not_fit_the_codec_then_it_says_so(store, dataset, folders):
    config = video_vae.VideoVAETraining.model_validate(
        {
            "clip_spec": {**SPEC, "height": 36},
            "runtime": RUNTIME,
            "codec": {"kind": "wan", "path": folders["wan"]},
        }
    )
    with pytest.raises(UsageError, match="pictures of 18x16 do not fit the video codec"):
        video_vae.run(dataset=dataset, config=config, context=context(store, "video_vae", "unfit"))
