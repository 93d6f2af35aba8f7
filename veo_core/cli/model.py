"""`veo model describe`: parameters, tokens, operations and memory of a model, before or after training."""

import argparse
import json
from pathlib import Path
from typing import Any

from veo_core.cli.recipe import load_recipe
from veo_core.commandline import add_root
from veo_core.errors import UsageError
from veo_core.storage import Store

# The modules of models import torch, which the other commands do without: they are imported where needed.


def add_parser(subcommands: Any) -> None:
    """Add `model` to the command line."""
    parser = subcommands.add_parser("model", help="say what a model is made of")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    describing = commands.add_parser(
        "describe", help="print parameters, tokens, FLOPs and memory", description=__doc__
    )
    which = describing.add_mutually_exclusive_group()
    which.add_argument("--size", metavar="NAME", help="world, small or large (default: world)")
    which.add_argument("--preset", metavar="NAME", help="what `veo run --preset NAME` trains")
    which.add_argument("--config", type=Path, metavar="FILE", help="what `veo run --config FILE` trains")
    which.add_argument("--model", metavar="NAME@VERSION", help="a registered model")
    add_root(describing, "store of --model")
    describing.add_argument("--json", action="store_true", help="print JSON")
    describing.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    from veo_core.models.describe import describe

    described = describe(_cascade(arguments))
    if arguments.json:
        print(json.dumps({"parameters": described.parameters, **described.model_dump(mode="json")}, indent=1))
    else:
        print(_text(described))
    return 0


def _cascade(arguments: argparse.Namespace) -> Any:
    if arguments.model:
        return _registered(Store(arguments.root), arguments.model)
    if arguments.config or arguments.preset:
        configs = [arguments.config] if arguments.config else []
        return _of_recipe(load_recipe(arguments.preset or "world", configs, []))
    return _of_size(arguments.size or "world")


def _of_size(name: str) -> Any:
    from veo_core.models.describe import Cascade
    from veo_core.models.sizes import SIZES

    size = next((size for known, size in SIZES.items() if known == name), None)
    if size is None:
        raise UsageError(f"--size {name}: no such size; there are {', '.join(SIZES)}")
    return Cascade(size.video_vae, size.audio_vae, size.transformer(), size.upsampler())


def _of_recipe(recipe: Any) -> Any:
    from veo_core.data.latents import LatentLayout
    from veo_core.models.describe import Cascade
    from veo_core.models.text import Vocabulary
    from veo_core.models.upsampler import Upsampler

    video, audio = recipe.train_video_vae.model, recipe.train_audio_vae.model
    layout = LatentLayout(
        clip=recipe.encode_latents.clip_spec.model_copy(update={"video": video.factors}),
        video_channels=video.latent_channels,
        audio_channels=audio.latent_channels,
    )
    refining = recipe.train_upsampler
    return Cascade(
        video,
        audio,
        recipe.train_base.model_config_for(layout, Vocabulary(words=())),
        Upsampler.Config(channels=video.latent_channels, width=refining.width, depth=refining.depth),
    )


def _registered(store: Store, reference: str) -> Any:
    from veo_core.models.audio_vae import AudioVAE
    from veo_core.models.describe import Cascade
    from veo_core.models.transformer import JointTransformer
    from veo_core.models.upsampler import Upsampler
    from veo_core.models.video_vae import VideoVAE
    from veo_core.registry.local import load

    files = load(store, reference).description.files

    def config(name: str, record: Any) -> Any:
        data = store.get_bytes(getattr(files, f"{name}_config"))
        return record.parse(json.loads(data), where=f"{reference} {name} config")

    return Cascade(
        config("video_vae", VideoVAE.Config),
        config("audio_vae", AudioVAE.Config),
        config("base", JointTransformer.Config),
        config("upsampler", Upsampler.Config),
    )


def _text(described: Any) -> str:
    height, width = described.base_size
    rows, columns = described.full_size
    lines = [
        f"clip: {described.frames} pictures of {height}x{width} at {described.fps:g} a second, "
        f"upsampled to {rows}x{columns}; {described.seconds:g} s of sound",
        f"tokens: {described.video_tokens} picture + {described.audio_tokens} sound, "
        f"{described.text_tokens} of text",
        "",
        f"{'latents':<16}{'shape':<20}{'fewer values':>14}",
        *(
            f"{row.name:<16}{'x'.join(map(str, row.shape)):<20}{f'{row.compression:.1f} x':>14}"
            for row in described.latents
        ),
        "",
        f"{'on one clip':<20}{'parameters':>14}{'forward':>14}{'training step':>16}{'activations':>14}",
        *(
            f"{part.name:<20}{_short(part.parameters):>14}{_short(part.forward_flops) + 'FLOP':>14}"
            f"{_short(part.training_flops) + 'FLOP':>16}{_short(part.activation_bytes) + 'B':>14}"
            for part in described.parts
        ),
        f"{'all':<20}{_short(described.parameters):>14}",
        "",
        "A multiplication with its addition is two FLOPs. Activations are what the backward pass needs, in",
        "float32, with fused attention and nothing computed again.",
    ]
    return "\n".join(lines)


def _short(number: float) -> str:
    """Three digits and a prefix of the SI: 4.27 M."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} T" if number < 1000 else f"{number / 1000:.3g} P"
