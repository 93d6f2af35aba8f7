"""`VeoPipeline`: diffusers' interface to a cascade.

    from veo_core.export.pipeline import VeoPipeline
    pipe = VeoPipeline.from_pretrained(folder)
    output = pipe("a red circle moving left with a low tone", generator=torch.Generator().manual_seed(0))
    output.frames, output.audio

`DiffusionPipeline.from_pretrained(folder)` looks for the class by its name in diffusers alone, and imports
nothing that a folder names. So importing this module adds the class there. Where it was not imported, the
folder's `pipeline.py` does it: `DiffusionPipeline.from_pretrained(folder, custom_pipeline="pipeline",
trust_remote_code=True)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from diffusers import DiffusionPipeline, SchedulerMixin
from diffusers.utils import BaseOutput
from PIL import Image, ImageOps
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from veo_core.errors import UsageError
from veo_core.export.parts import VeoAudioCodec, VeoTransformer, VeoUpsampler, VeoVideoCodec, assembled
from veo_core.export.schedulers import sampler_of
from veo_core.generate.finish import Finisher
from veo_core.generate.identity import ModelIdentity
from veo_core.generate.pipeline import Film, Generator
from veo_core.generate.request import Request
from veo_core.records.drawing import Drawing
from veo_core.train.runtime import RuntimeConfig

Picture = Image.Image | npt.NDArray[np.uint8]


@dataclass
class VeoPipelineOutput(BaseOutput):  # type: ignore[misc]
    """Generated clips.

    frames: "np" float32 [b, t, h, w, 3] in [0, 1]; "pt" the same as [b, t, 3, h, w]; "pil" a list of pictures
        for each clip.
    audio: float32 [b, samples] in [-1, 1], a tensor for "pt", else an array; `audio_rate` of the pipeline a
        second.
    """

    frames: Any
    audio: Any


class VeoPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Text, with an image, a video or a sound where given, to pictures with sound.

    Args:
        scheduler: chooses the solver and the shift of noise levels; `schedulers` says which may be.
        text_encoder, tokenizer: of a transformer that reads the features of a frozen encoder.
        bfloat16: products in bfloat16 with the weights as they are, or in float32; None for what the device
            is made for, as in training.
        model_digest: what marks and manifests call the model; by its weights where empty. Leave it empty for
            weights that were trained on.
        drawing: how clips are drawn, as `Drawing` in JSON, but for what `scheduler` and a call choose; the
            usual way where None.
    """

    _optional_components: ClassVar[list[str]] = ["text_encoder", "tokenizer"]

    def __init__(
        self,
        video_codec: VeoVideoCodec,
        audio_codec: VeoAudioCodec,
        transformer: VeoTransformer,
        upsampler: VeoUpsampler,
        scheduler: SchedulerMixin,
        text_encoder: PreTrainedModel | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        bfloat16: bool | None = None,
        model_digest: str = "",
        drawing: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            video_codec=video_codec,
            audio_codec=audio_codec,
            transformer=transformer,
            upsampler=upsampler,
            scheduler=scheduler,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
        )
        self.register_to_config(bfloat16=bfloat16, model_digest=model_digest, drawing=drawing)

    @property
    def fps(self) -> float:
        """Pictures per second."""
        return float(self.transformer.model.config.clip.fps)

    @property
    def audio_rate(self) -> int:
        """Sound samples per second."""
        return int(self.transformer.model.config.clip.audio_rate)

    def cascade(self) -> Generator:
        """The generator of these parts, on the pipeline's device."""
        runtime = RuntimeConfig(accelerator=self.device.type, bfloat16=self.config.bfloat16)
        return assembled(
            self.video_codec,
            self.audio_codec,
            self.transformer,
            self.upsampler,
            runtime,
            self.text_encoder,
            self.tokenizer,
            ModelIdentity(self.config.model_digest) if self.config.model_digest else None,
            Drawing.parse(self.config.drawing or {}, where="drawing"),
        )

    def __call__(
        self,
        prompt: str | list[str],
        image: Picture | list[Picture] | None = None,
        video: npt.NDArray[np.uint8] | None = None,
        audio: npt.NDArray[np.float32] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        audio_guidance_scale: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: Literal["np", "pil", "pt"] = "pil",
        return_dict: bool = True,
        watermark: bool = True,
    ) -> VeoPipelineOutput | tuple[Any, Any]:
        """Generate a clip for each prompt.

        Args:
            image: what the clips start with, one for all or one for each; scaled and cut to the model's size.
            video: pictures to make the sound for, uint8 [t, h, w, 3] of the model's size, or one more axis.
            audio: sound to make the pictures for, float32 [samples] at the model's rate, or one more axis.
            num_inference_steps, guidance_scale: as the model was evaluated where None.
            audio_guidance_scale: `guidance_scale` where None.
            generator: of the noise: one for each clip, or one that all clips draw from in turn.
            watermark: whether picture and sound of the clips are marked.

        Raises:
            UsageError: a prompt is too long, or what is given does not fit the model.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        cascade = self.cascade()
        sampler = sampler_of(
            self.scheduler,
            cascade.drawing.sampler_for("t2v" if video is None else "v2a"),
            steps=num_inference_steps,
            guidance=guidance_scale,
            audio_guidance=audio_guidance_scale,
        )
        images = [image] * len(prompts) if not isinstance(image, list) else image
        given = zip(
            prompts,
            images,
            _for_each(video, 4, len(prompts)),
            _for_each(audio, 1, len(prompts)),
            strict=True,
        )
        requests = [
            Request(
                text,
                sampler=sampler,
                image=None if picture is None else self._fitted(picture),
                video=pictures,
                audio=sound,
            )
            for text, picture, pictures, sound in given
        ]
        for request in requests:
            cascade.check(request)
        generators = _generators(generator, len(requests))
        requests = [
            replace(request, seed=drawn.initial_seed())
            for request, drawn in zip(requests, generators, strict=True)
        ]
        finisher = Finisher(cascade.identity, watermark=watermark, manifest=False)
        films = [
            finisher.marked(film, request)
            for film, request in zip(cascade.draw(requests, generators), requests, strict=True)
        ]
        frames, sounds = _converted(films, output_type)
        return VeoPipelineOutput(frames=frames, audio=sounds) if return_dict else (frames, sounds)

    def _fitted(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """A picture that covers the model's size, cut to its centre; uint8 [h, w, 3]."""
        clip = self.transformer.model.config.clip
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        size = (clip.width, clip.height)
        return np.asarray(ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), size), np.uint8).copy()


def _for_each(
    given: npt.NDArray[Any] | None, dimensions: int, count: int
) -> Sequence[npt.NDArray[Any] | None]:
    """What is given once for all clips, or with a leading axis for each, as one for each."""
    if given is None or given.ndim == dimensions:
        return [given] * count
    return list(given)


def _generators(
    generator: torch.Generator | list[torch.Generator] | None, count: int
) -> Sequence[torch.Generator]:
    if isinstance(generator, list):
        if len(generator) != count:
            raise UsageError(f"{len(generator)} generators for {count} prompts: give one, or one for each")
        return generator
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    return [generator] * count


def _converted(films: Sequence[Film], output_type: str) -> tuple[Any, Any]:
    frames, audio = (np.stack([getattr(film, name) for film in films]) for name in ("frames", "audio"))
    if output_type == "pil":
        return [[Image.fromarray(picture) for picture in clip] for clip in frames], audio
    scaled = frames.astype(np.float32) / 255.0
    if output_type == "np":
        return scaled, audio
    if output_type == "pt":
        return torch.from_numpy(scaled).permute(0, 1, 4, 2, 3), torch.from_numpy(audio)
    raise UsageError(f"output_type {output_type!r}: must be np, pil or pt")


diffusers.VeoPipeline = VeoPipeline
