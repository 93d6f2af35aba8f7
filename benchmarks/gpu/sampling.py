"""Time to draw clips with the whole cascade: base model with guidance, upsampler, decoders."""

import time
from collections.abc import Iterator

import torch

from benchmarks.gpu.training import random_base
from benchmarks.report import Row
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.models.sizes import Size
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.drawing import SamplerConfig
from veo_core.train.runtime import Runtime, RuntimeConfig


def rows(name: str, size: Size, runtime_config: RuntimeConfig, *, batch: int, seed: int) -> Iterator[Row]:
    """Untrained weights: how long it takes does not depend on them."""
    runtime = Runtime(runtime_config)
    torch.manual_seed(seed)
    with runtime.device:
        base = random_base(size)
        clip = base.config.clip
        audio = AudioCodec(MelAutoencoder(AudioVAE(size.audio_vae), clip), clip)
        generator = Generator(VideoVAE(size.video_vae), audio, base, Upsampler(size.upsampler()), runtime)
    sampler = SamplerConfig()
    prompts = ["word1 word2 word3"] * batch
    generator(prompts, seed=seed, sampler=sampler, batch=batch)
    start = time.perf_counter()
    generator(prompts, seed=seed + batch, sampler=sampler, batch=batch)
    seconds = (time.perf_counter() - start) / batch
    yield Row(f"{name}, batch {batch}: a clip in {sampler.steps} steps with guidance", seconds, "s")
