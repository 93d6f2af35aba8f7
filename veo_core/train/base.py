"""Train the base model: the joint denoiser of picture and sound."""

import json

import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.latents import LatentClips, LatentLayout, load_latents
from veo_core.diffusion.flow import Batch, NoiseConfig, draw_levels, flow_losses
from veo_core.models.files import parameter_count
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.train.loop import FitConfig, fit
from veo_core.train.publish import training_manifest
from veo_core.train.runtime import Runtime


class BaseTraining(FitConfig):
    """Configuration of the stage."""

    steps: int = Field(default=1200, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate")
    width: int = Field(default=128, description="channels of a token")
    depth: int = Field(default=6, description="transformer blocks")
    heads: int = Field(default=4, description="attention heads")
    expand: int = Field(default=4, description="width of the feed-forward in token widths")
    text_length: int = Field(default=32, description="tokens that every caption is padded to")
    text_depth: int = Field(default=1, description="transformer blocks of the text encoder")
    short_captions: float = Field(default=0.2, description="share of clips that train on the short caption")
    noise: NoiseConfig = NoiseConfig()

    def model_config_for(self, layout: LatentLayout, vocabulary: Vocabulary) -> JointTransformer.Config:
        """The configuration of the model that trains on such latents."""
        text = TextEncoder.Config(vocabulary=vocabulary, length=self.text_length, depth=self.text_depth)
        return JointTransformer.Config(
            clip=layout.clip,
            text=text,
            video_channels=layout.video_channels,
            audio_channels=layout.audio_channels,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            expand=self.expand,
        )


def run(*, latents: Manifest, config: BaseTraining, context: Context) -> Manifest:
    layout, splits = load_latents(latents, context.store)
    words = json.loads(context.store.get_bytes(latents.files["vocabulary"]))
    vocabulary = Vocabulary.parse(words, where="latents vocabulary")
    runtime = Runtime(config.runtime)
    torch.manual_seed(context.seed)
    model = runtime.place(JointTransformer(config.model_config_for(layout, vocabulary)))
    source = BatchSource(splits["train"], vocabulary, config, runtime)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        return flow_losses(model, source.draw(generator))

    history = fit(model, losses, config=config, runtime=runtime, context=context)
    held = BatchSource(splits["validation"], vocabulary, config, runtime)
    generator = torch.Generator().manual_seed(context.seed)
    with torch.no_grad(), runtime.autocast():
        rows = [runtime.fetch(flow_losses(model, held.draw(generator))) for _ in range(8)]
    metrics = {f"validation_{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    metrics["parameters"] = float(parameter_count(model))
    return training_manifest(model, history, metrics, config, context)


class BatchSource:
    """Draws training batches from latents; equal generators give equal batches."""

    def __init__(
        self, clips: LatentClips, vocabulary: Vocabulary, config: BaseTraining, runtime: Runtime
    ) -> None:
        self.clips, self.config, self.runtime = clips, config, runtime
        self.long = vocabulary.tokens(clips.captions, config.text_length)
        self.short = vocabulary.tokens(clips.short_captions, config.text_length)
        self.empty = vocabulary.tokens([""], config.text_length)

    def draw(self, generator: torch.Generator) -> Batch:
        config, send = self.config, self.runtime.send
        count = config.batch
        index = torch.randint(len(self.long), (count,), generator=generator)
        levels = draw_levels(config.noise, count, self.clips.base.shape[2], generator)
        short = torch.rand(count, generator=generator) < config.short_captions
        tokens = torch.where(short[:, None], self.short[index], self.long[index])
        tokens = torch.where(levels.drop_text[:, None], self.empty, tokens)
        video, audio = self.clips.base[index], self.clips.audio[index]
        return Batch(
            video=send(video),
            audio=send(audio),
            video_noise=send(torch.randn(video.shape, generator=generator)),
            audio_noise=send(torch.randn(audio.shape, generator=generator)),
            sigma_video=send(levels.video),
            sigma_audio=send(levels.audio),
            tokens=send(tokens),
        )


if __name__ == "__main__":
    stage_main(run)
