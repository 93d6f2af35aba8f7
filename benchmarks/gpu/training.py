"""Speed and memory of the base model's training step, on random latents that are on the device."""

import gc
from collections.abc import Iterator

import torch
import torch._dynamo
from torch import Tensor

from benchmarks.report import Row
from veo_core.diffusion.build import build_objective
from veo_core.diffusion.objective import Batch, denoising_losses
from veo_core.models.flops import training_flops, transformer_flops
from veo_core.models.sizes import Size
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.train.optimiser import build_optimisers
from veo_core.train.parallel import parallelize
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.state import TrainingState
from veo_core.train.throughput import Meter, Throughput

WARM_UP = 3
_UTILISATION = 0.40
_WIDE = 1536
_WORDS = Vocabulary(words=tuple(f"word{number}" for number in range(4096)))


def rows(
    name: str, size: Size, runtime: RuntimeConfig, *, batch: int, steps: int, seed: int
) -> Iterator[Row]:
    """Speed and peak memory with all activations kept and with activation checkpointing."""
    for recompute in (0, 1):
        config = runtime.model_copy(update={"recompute": recompute})
        how = "activation checkpointing" if recompute else "all activations kept"
        label = f"{name}, batch {batch}, {how}"
        speed = measure(size, config, batch=batch, steps=steps, seed=seed)
        yield Row(f"{label}: training", speed.clips_per_second, "clips/s")
        assert speed.tflops is not None
        yield Row(f"{label}: model FLOPs", speed.tflops, "TFLOP/s")
        if speed.mfu is not None:
            target = _UTILISATION if size.base.width >= _WIDE else None
            yield Row(f"{label}: model FLOPs utilisation", speed.mfu, "share", target=target)
        yield Row(f"{label}: peak memory", speed.peak_memory / 2**30, "GiB")


def measure(size: Size, runtime_config: RuntimeConfig, *, batch: int, steps: int, seed: int) -> Throughput:
    """The speed of `steps` steps of the training loop's parts after a warm-up, in which things compile."""
    runtime = Runtime(runtime_config)
    torch.manual_seed(seed)
    torch._dynamo.reset()  # compiled blocks hold their weights
    gc.collect()  # and each other in a circle
    if runtime.accelerator == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(runtime.device)
    with runtime.device:  # a CPU takes minutes to draw the weights of `large`
        model = random_base(size)
    parallelize(model, runtime)
    optimisers = build_optimisers(model, "adamw", learning_rate=1e-4, weight_decay=0.01, runtime=runtime)
    state = TrainingState(model, optimisers)
    objective, data = build_objective(model.config.objective), _batch(model.config, batch, runtime)
    meter = Meter(batch, runtime, training_flops(transformer_flops(model.config)), None)
    model.train()

    def train(count: int) -> None:
        loss = torch.zeros((), device=runtime.device)
        for _ in range(count):
            with runtime.autocast():
                loss = denoising_losses(objective, model, data)["loss"]
            loss.backward()  # type: ignore[no-untyped-call]
            state.step(1e-4, 1.0)
            state.follow(0.999)
            runtime.step_done()
        runtime.fetch({"loss": loss.detach()})  # waits for the device

    train(WARM_UP)
    meter.start()
    train(steps)
    return meter.lap(steps)


def random_base(size: Size) -> JointTransformer:
    """The base model of a size with a vocabulary of some thousand words, untrained."""
    text = TextEncoder.Config(
        vocabulary=_WORDS, length=size.base.text_length, depth=size.base.text_depth, heads=size.base.heads
    )
    return JointTransformer(size.transformer(text))


def _batch(config: JointTransformer.Config, count: int, runtime: Runtime) -> Batch:
    def noise(*shape: int) -> Tensor:
        return torch.randn(count, *shape, device=runtime.device)

    return Batch(
        video=noise(*config.video_shape),
        audio=noise(*config.audio_shape),
        video_noise=noise(*config.video_shape),
        audio_noise=noise(*config.audio_shape),
        sigma_video=torch.rand(count, 1, device=runtime.device).expand(-1, config.clip.latent_frames),
        sigma_audio=torch.rand(count, 1, device=runtime.device),
        tokens=torch.randint(3, len(_WORDS.words), (count, config.text.length), device=runtime.device),
    )
