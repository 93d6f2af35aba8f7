"""How tutorials train and draw from such models, written anew for comparison: do not use it.

Each step reads files, encodes them, and predicts the noise of a DDPM with linear betas and 1000 steps, with
one mean squared error over all values. The upsampler trains on clean small pictures and draws from
generated ones. There is no guidance, no average of weights, no warm-up.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.model.tutorial_model import (
    AUDIO_CHANNELS,
    AUDIO_PATCH,
    AUDIO_STRIDE,
    FRAMES,
    VIDEO_CHANNELS,
    VIDEO_PATCH,
    AudioAutoencoder,
    Stream,
    Transformer,
    VideoAutoencoder,
    audio_latents,
    audio_tokens,
    video_latents,
    video_tokens,
)
from veo_core.data.spec import ClipSpec
from veo_core.generate.pipeline import Film
from veo_core.models.text import Vocabulary

SAMPLING_STEPS = 50
_TRAIN_STEPS = 1000


@dataclass(frozen=True)
class Size:
    """Dimensions of the models: of both transformers by their widths, of both autoencoders by theirs."""

    base: int = 192
    upsampler: int = 192
    video: int = 48
    audio: int = 96
    depth: int = 6
    heads: int = 6


@dataclass
class Spent:
    """Seconds of training by what they went to, and how many clips were trained on."""

    loading: float = 0.0
    encoding: float = 0.0
    learning: float = 0.0
    clips: int = 0

    @property
    def seconds(self) -> float:
        return self.loading + self.encoding + self.learning


@dataclass(frozen=True)
class Clips:
    """Files of clips with their captions."""

    paths: Sequence[Path]
    captions: Sequence[str]


class Tutorial(nn.Module):
    """Both autoencoders and both transformers for clips of `clip`; full size is its size, base is smaller."""

    def __init__(self, clip: ClipSpec, vocabulary: Vocabulary, size: Size, *, text_length: int = 32) -> None:
        super().__init__()
        self.clip, self.vocabulary, self.text_length = clip, vocabulary, text_length
        self.video_codec, self.audio_codec = VideoAutoencoder(size.video), AudioAutoencoder(size.audio)
        self.base_grid = (clip.base_height // 8, clip.base_width // 8)
        self.full_grid = (clip.height // 8, clip.width // 8)
        base, full = (_video_stream(*grid) for grid in (self.base_grid, self.full_grid))
        sound = Stream(clip.samples // AUDIO_STRIDE // AUDIO_PATCH, AUDIO_CHANNELS * AUDIO_PATCH)
        words, shape = vocabulary.size, {"depth": size.depth, "heads": size.heads}
        self.base = Transformer((base, sound), words, width=size.base, **shape)
        low = Stream(base.tokens, base.values, predicted=False)
        self.upsampler = Transformer((full, low), words, width=size.upsampler, **shape)
        self.scheduler = DDPMScheduler(_TRAIN_STEPS, beta_schedule="linear")

    def fit(
        self,
        clips: Clips,
        *,
        until: Callable[[Spent], bool],
        upsampling: bool,
        batch: int = 16,
        rate: float = 1e-4,
        seed: int = 0,
    ) -> tuple[Spent, list[float]]:
        """Train one of the transformers; what the time went to, and the loss of each step."""
        model = self.upsampler if upsampling else self.base
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
        tokens = self.vocabulary.tokens(clips.captions, self.text_length, cut=True)
        generator = torch.Generator().manual_seed(seed)
        spent, losses = Spent(), list[float]()
        while not until(spent):
            start = time.perf_counter()
            index = torch.randint(len(clips.paths), (batch,), generator=generator)
            loaded = [load(clips.paths[i], self.clip) for i in index.tolist()]
            full = torch.from_numpy(np.stack([pictures for pictures, _ in loaded]))
            sound = torch.from_numpy(np.stack([samples for _, samples in loaded]))
            read = time.perf_counter()
            streams = self.encode(full, sound, upsampling=upsampling)
            encoded = time.perf_counter()
            loss = self._loss(model, streams, tokens[index], generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
            spent.loading += read - start
            spent.encoding += encoded - read
            spent.learning += time.perf_counter() - encoded
            spent.clips += batch
        return spent, losses

    @torch.no_grad()
    def encode(self, full: Tensor, sound: Tensor, *, upsampling: bool) -> tuple[Tensor, ...]:
        """The tokens of both streams, of pictures uint8 [b, 3, 16, h, w] and sound [b, samples]."""
        video = full.float() / 127.5 - 1.0
        small = F.interpolate(video, size=(FRAMES, self.clip.base_height, self.clip.base_width))
        low = video_tokens(self.video_codec.encoder(small))
        if upsampling:
            return video_tokens(self.video_codec.encoder(video)), low
        return low, audio_tokens(self.audio_codec.encoder(sound[:, None]))

    def _loss(
        self, model: Transformer, streams: tuple[Tensor, ...], tokens: Tensor, generator: torch.Generator
    ) -> Tensor:
        step = torch.randint(_TRAIN_STEPS, (len(tokens),), generator=generator)
        noise = [torch.randn(x.shape, generator=generator) for x in streams]
        inputs = tuple(
            self.scheduler.add_noise(x, n, step) if stream.predicted else x
            for x, n, stream in zip(streams, noise, model.streams, strict=True)
        )
        predicted = model(inputs, step, tokens)
        wanted = [n for n, stream in zip(noise, model.streams, strict=True) if stream.predicted]
        found, right = (torch.cat([p.flatten(1) for p in parts], dim=1) for parts in (predicted, wanted))
        return F.mse_loss(found, right)

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[str], *, seed: int, batch: int = 16, steps: int = SAMPLING_STEPS
    ) -> list[Film]:
        """A clip for each prompt: the base model, then the upsampler, then the decoders."""
        films: list[Film] = []
        for start in range(0, len(prompts), batch):
            tokens = self.vocabulary.tokens(prompts[start : start + batch], self.text_length)
            generator = torch.Generator().manual_seed(seed + start)
            self.scheduler.set_timesteps(steps)
            low, sound = self._draw(self.base, (), tokens, generator)
            (full,) = self._draw(self.upsampler, (low,), tokens, generator)
            pictures = self.video_codec.decoder(video_latents(full, *self.full_grid))
            waves = self.audio_codec.decoder(audio_latents(sound))[:, 0].numpy()
            shown = ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).numpy()
            films += [Film(f, w, self.clip.audio_rate) for f, w in zip(shown, waves, strict=True)]
        return films

    def _draw(
        self, model: Transformer, given: tuple[Tensor, ...], tokens: Tensor, generator: torch.Generator
    ) -> list[Tensor]:
        """The predicted streams, from noise by ancestral steps."""
        streams = [stream for stream in model.streams if stream.predicted]
        shapes = [(len(tokens), stream.tokens, stream.values) for stream in streams]
        state = [torch.randn(shape, generator=generator) for shape in shapes]
        for step in self.scheduler.timesteps:
            noise = model((*state, *given), step.expand(len(tokens)), tokens)
            state = [
                self.scheduler.step(n, step, x, generator=generator).prev_sample
                for n, x in zip(noise, state, strict=True)
            ]
        return state


def load(path: Path, clip: ClipSpec) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The first pictures uint8 [3, 16, h, w] of a file, read by OpenCV, and its first samples."""
    reader = cv2.VideoCapture(str(path))
    size = (clip.width, clip.height)
    pictures = np.zeros((FRAMES, clip.height, clip.width, 3), np.uint8)
    for index in range(FRAMES):
        found, picture = reader.read()
        if not found:
            break
        pictures[index] = cv2.cvtColor(cv2.resize(picture, size), cv2.COLOR_BGR2RGB)
    reader.release()
    return pictures.transpose(3, 0, 1, 2), _sound(path, clip)


def _sound(path: Path, clip: ClipSpec) -> npt.NDArray[np.float32]:
    samples = np.zeros(clip.samples, np.float32)
    with av.open(str(path)) as container:
        if container.streams.audio:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=clip.audio_rate)
            frames = (part for frame in container.decode(audio=0) for part in resampler.resample(frame))
            heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])[: clip.samples]
            samples[: len(heard)] = heard
    return samples


def _video_stream(rows: int, columns: int) -> Stream:
    cells = FRAMES // 2 * (rows // VIDEO_PATCH) * (columns // VIDEO_PATCH)
    return Stream(cells, VIDEO_CHANNELS * VIDEO_PATCH**2)
