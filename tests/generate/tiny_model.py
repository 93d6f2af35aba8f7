"""A small model with random weights that heeds all that it is given, and the store that holds it."""

import torch
from torch import nn

from veo_core.data.spec import ClipSpec
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.files import save_model
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.storage import Store
from veo_core.train.runtime import RuntimeConfig

CLIP = ClipSpec(frames=9, height=32, width=32)
WORDS = "a red blue circle square moving left right with low high tone"


def tiny_models(
    seed: int = 0, width: int = 32, text: TextEncoder.Config | None = None
) -> dict[str, nn.Module]:
    """Untrained models by the name of their part. No layer is zero, so that every input matters."""
    torch.manual_seed(seed)
    text = text or TextEncoder.Config(vocabulary=Vocabulary.from_captions([WORDS]), length=12)
    models = {
        "video_vae": VideoVAE(VideoVAE.Config(width=8, depth=1)),
        "audio_vae": AudioVAE(AudioVAE.Config(width=8, depth=1)),
        "base": JointTransformer(
            JointTransformer.Config(clip=CLIP, text=text, width=width, depth=2, heads=2)
        ),
        "upsampler": Upsampler(Upsampler.Config(width=8, depth=1)),
    }
    with torch.no_grad():
        for model in models.values():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.05)
    return models


def store_model(store: Store, seed: int = 0, width: int = 32) -> dict[str, dict[str, FileRef]]:
    """Files of the model's parts, as their training stages publish them."""
    return {part: save_model(model, store) for part, model in tiny_models(seed, width).items()}


def files_of(parts: dict[str, dict[str, FileRef]]) -> ModelFiles:
    return ModelFiles.model_validate(
        {f"{part}_{kind}": ref for part, files in parts.items() for kind, ref in files.items()}
    )


def tiny_generator(store: Store) -> Generator:
    """In float32, so that batches of other sizes differ by rounding alone."""
    return Generator.load(files_of(store_model(store)), store, RuntimeConfig(bfloat16=False))
