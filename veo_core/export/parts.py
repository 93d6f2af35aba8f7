"""The models of a cascade as diffusers' models: `save_pretrained` and `from_pretrained`, safetensors only.

Each part holds one of our models; its `config.json` keeps that model's configuration under `settings`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import PreTrainedModel

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.generate.identity import ModelIdentity
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import ConfiguredModel
from veo_core.models.frozen_text import FrozenTextEncoder
from veo_core.models.ltx2 import LTX2Sound, LTX2VideoCodec
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.models.oobleck import OobleckSound
from veo_core.models.prompts import PromptEncoder
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.models.wan import WanCodec
from veo_core.records.drawing import Drawing
from veo_core.train.runtime import Runtime, RuntimeConfig

_ALIGNMENT = 64
"""Bytes: that of PyTorch's own allocations on a CPU."""


class Part(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """One model of a cascade. Subclasses name the classes that it may be by the `kind` of its settings.

    Raises:
        UsageError: the settings are of no known kind, or do not fit it.
    """

    kinds: ClassVar[Mapping[str, type[nn.Module]]]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        where = f"{type(self).__name__} settings"
        kind = settings.get("kind", "own")
        if kind not in self.kinds:
            raise UsageError(f"{where}: unknown kind {kind!r}; known: {', '.join(self.kinds)}")
        model: Any = self.kinds[kind]
        self.model = model(model.Config.parse(settings, where=where))

    @classmethod
    def of(cls, model: ConfiguredModel) -> Self:
        """A part with a copy of a model's weights."""
        part: Self = cls(settings=model.config.model_dump(mode="json"))
        part.model.load_state_dict(model.state_dict())
        part.eval().requires_grad_(False)
        return part

    @classmethod
    def from_pretrained(cls, path: Any, **options: Any) -> Any:
        """As diffusers' own, but weights that are missing or of another configuration are an error.

        Raises:
            UsageError: a file is missing, or the weights belong to another configuration.
        """
        wants_info = options.pop("output_loading_info", False)
        options |= {"use_safetensors": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
        try:
            part, info = super().from_pretrained(path, **options)
        except OSError as error:
            raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
        reshaped = [name for name, *_ in info["mismatched_keys"]]
        wrong = [*info["missing_keys"], *info["unexpected_keys"], *reshaped]
        if wrong:
            raise UsageError(
                f"{path}: the weights belong to another configuration: {min(wrong)} does not fit config.json"
            )
        _align(part)
        part.requires_grad_(False)
        return (part, info) if wants_info else part


class VeoVideoCodec(Part):
    """Pictures to latents and back."""

    kinds: ClassVar = {"own": VideoVAE, "wan": WanCodec, "ltx2": LTX2VideoCodec}


class VeoAudioCodec(Part):
    """Sound to latents and back; `fitted` makes it a codec of clips."""

    kinds: ClassVar = {"own": AudioVAE, "ltx2": LTX2Sound, "oobleck": OobleckSound}

    def fitted(self, clip: ClipSpec) -> AudioCodec:
        """The codec of waveforms of a clip's rate and length."""
        model = self.model
        return AudioCodec(MelAutoencoder(model, clip) if isinstance(model, AudioVAE) else model, clip).eval()


class VeoTransformer(Part):
    """The joint denoiser of picture and sound; its settings hold the clip's lengths and the vocabulary."""

    kinds: ClassVar = {"own": JointTransformer}


class VeoUpsampler(Part):
    """Restores the detail of enlarged pictures."""

    kinds: ClassVar = {"own": Upsampler}


def assembled(
    video_codec: VeoVideoCodec,
    audio_codec: VeoAudioCodec,
    transformer: VeoTransformer,
    upsampler: VeoUpsampler,
    runtime: RuntimeConfig,
    text_encoder: PreTrainedModel | None = None,
    tokenizer: Any = None,
    identity: ModelIdentity | None = None,
    drawing: Drawing | None = None,
) -> Generator:
    """The generator of these parts; it shares their weights."""
    base = transformer.model
    text = base.config.text
    frozen = None
    if text_encoder is not None:
        frozen = FrozenTextEncoder(text.frozen, text_encoder, tokenizer)
    return Generator(
        video_codec.model,
        audio_codec.fitted(base.config.clip),
        base,
        upsampler.model,
        Runtime(runtime),
        PromptEncoder(text, frozen),
        identity,
        drawing,
    )


def _align(module: nn.Module) -> None:
    """Copy weights that a mapped file holds at odd addresses: there some kernels sum in another order, and
    the same model would draw pixels that differ by a rounding.
    """
    for weight in [*module.parameters(), *module.buffers()]:
        if weight.data_ptr() % _ALIGNMENT:
            weight.data = weight.data.clone()
