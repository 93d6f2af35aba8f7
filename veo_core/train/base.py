"""Train the base model: the joint denoiser of picture and sound."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from veo_core.data.latents import LatentBucket, LatentLayout, load_latents
from veo_core.data.loader import LatentLoader
from veo_core.diffusion.build import build_objective
from veo_core.diffusion.levels import NoiseConfig, draw_levels
from veo_core.diffusion.objective import Batch, LossConfig, counted, denoising_losses
from veo_core.models.files import parameter_count
from veo_core.models.flops import training_flops, transformer_flops
from veo_core.models.objective import ObjectiveConfig
from veo_core.models.sizes import SizeName, base_values
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.captions import Captions
from veo_core.train.films import FilmSamples
from veo_core.train.loop import FitConfig, fit
from veo_core.train.pages import VIEWS
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class BaseTraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=1200, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate")
    size: SizeName = Field(default="world", description="sets the dimensions below that are not given")
    width: int = Field(default=128, description="channels of a token")
    depth: int = Field(default=6, description="transformer blocks")
    heads: int = Field(default=4, description="attention heads")
    expand: int = Field(default=4, description="width of the feed-forward in token widths")
    audio_patch: int = Field(default=1, ge=1, description="sound latents in a row to a token")
    local_width: int = Field(default=64, description="channels of the convolutions around the transformer")
    local_depth: int = Field(default=2, description="blocks of convolutions on either side, 0 for none")
    text_length: int = Field(default=32, description="tokens that every caption is padded to")
    text_depth: int = Field(default=1, description="transformer blocks of the text encoder")
    short_captions: float = Field(default=0.2, description="share of clips that train on the short caption")
    objective: ObjectiveConfig = ObjectiveConfig()
    noise: NoiseConfig = NoiseConfig()
    loss: LossConfig = LossConfig()

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("size"), str):
            return {**base_values(values["size"]), **values}
        return values

    def model_config_for(
        self, layout: LatentLayout, vocabulary: Vocabulary, others: Sequence[LatentLayout] = ()
    ) -> JointTransformer.Config:
        """The configuration of the model that trains on such latents; it generates those of `layout`."""
        text = TextEncoder.Config(vocabulary=vocabulary, length=self.text_length, depth=self.text_depth)
        return JointTransformer.Config(
            clip=layout.clip,
            other_clips=tuple(other.clip for other in others),
            text=text,
            objective=self.objective,
            video_channels=layout.video_channels,
            audio_channels=layout.audio_channels,
            audio_patch=self.audio_patch,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            expand=self.expand,
            local_width=self.local_width,
            local_depth=self.local_depth,
        )


def run(*, latents: Manifest, config: BaseTraining, context: Context) -> Manifest:
    splits = load_latents(latents, context.store)
    layouts = [bucket.layout for bucket in splits["train"]]
    held_out = [bucket for bucket in splits["validation"] if bucket.layout in layouts]
    captions = Captions.of(latents, context.store, config.text_length)
    runtime = Runtime(config.runtime)
    torch.manual_seed(context.seed)
    shape = config.model_config_for(layouts[0], captions.vocabulary, layouts[1:])
    shape = shape.model_copy(update={"text": captions.encoder(shape.text)})
    model = runtime.place(JointTransformer(shape))
    objective = build_objective(config.objective, runtime.device)
    films = None
    if config.samples_every:
        filmed = next(bucket for bucket in [*held_out, *splits["train"]] if bucket.layout == layouts[0])
        films = FilmSamples.of(latents, context.store, filmed, captions, model, objective, runtime)
    with BatchSource(splits["train"], captions, config, runtime) as source:

        def losses(generator: torch.Generator) -> dict[str, Tensor]:
            return denoising_losses(objective, model, source.draw(generator), config.loss)

        history = fit(
            model,
            losses,
            config=config,
            runtime=runtime,
            context=context,
            batch_names=lambda: source.loader.clip_ids,
            waited=lambda: source.loader.waited,
            flops_per_clip=training_flops(transformer_flops(shape)),
            samples=films,
        )
    generator = torch.Generator().manual_seed(context.seed)
    with (
        BatchSource(held_out, captions, config, runtime) as held,
        torch.no_grad(),
        runtime.autocast(),
    ):
        rows = [runtime.fetch(denoising_losses(objective, model, held.draw(generator))) for _ in range(8)]
    metrics = {f"validation_{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    metrics["parameters"] = float(parameter_count(model))
    return training_manifest(model, history, metrics, config, context)


class BatchSource:
    """Draws training batches from latents, each from one bucket; equal generators give equal batches."""

    def __init__(
        self, buckets: Sequence[LatentBucket], captions: Captions, config: BaseTraining, runtime: Runtime
    ) -> None:
        self.captions, self.config, self.runtime = captions, config, runtime
        self.token_counts = {
            bucket.name: config.model_config_for(bucket.layout, captions.vocabulary).token_counts
            for bucket in buckets
        }
        self.loader = LatentLoader(
            buckets,
            config.batch,
            draws=config.accumulate,
            rank=runtime.rank,
            world=runtime.world,
            pin=runtime.accelerator == "cuda",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loader.close()

    def draw(self, generator: torch.Generator) -> Batch:
        """This process's share of the next batch. What is random is drawn for the whole batch."""
        config, shard = self.config, self.runtime.shard
        drawn = self.loader.draw(generator)
        random, clips, layout = drawn.generator, drawn.clips, drawn.bucket.layout
        counts = self.token_counts[drawn.bucket.name]
        levels = draw_levels(config.noise, config.batch, layout.clip.latent_frames, random, counts)
        short = torch.rand(config.batch, generator=random) < config.short_captions
        tokens = self.captions.tokens(clips, short[drawn.share], levels.drop_text[drawn.share])
        video, audio = (clips.tensors[name].float() for name in ("video", "audio"))
        return Batch(
            video=self._sent(video),
            audio=self._sent(audio),
            video_noise=shard(torch.randn(config.batch, *video.shape[1:], generator=random)),
            audio_noise=shard(torch.randn(config.batch, *audio.shape[1:], generator=random)),
            sigma_video=shard(levels.video),
            sigma_audio=shard(levels.audio),
            tokens=self._sent(tokens),
            video_weight=shard(counted(levels.video)),
            audio_weight=shard(counted(levels.audio)),
        )

    def _sent(self, share: Tensor) -> Tensor:
        """What this process has read, on the device; XLA's one process reads all and lays it out."""
        return self.runtime.send(share) if self.runtime.world > 1 else self.runtime.shard(share)


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
