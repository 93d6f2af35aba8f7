"""`veo generate`: a clip with sound from a registered model."""

import argparse
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.storage import Store


def add_parser(subcommands: Any) -> None:
    """Add `generate` to the command line."""
    parser = subcommands.add_parser("generate", help="generate a clip", description=__doc__)
    parser.add_argument("prompt", help="what to film, such as 'a red circle moving left with a low tone'")
    parser.add_argument("--model", default="veo-world@latest", metavar="NAME@VERSION")
    parser.add_argument(
        "--out", type=Path, default=Path("clip.mp4"), metavar="FILE", help="default: clip.mp4"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="sampling steps of the base model")
    parser.add_argument("--guidance", type=float, help="how strongly the clip follows the prompt")
    parser.add_argument("--root", default="store", metavar="URI", help="store of the model (default: store)")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    from veo_core.media.encode import encode
    from veo_core.registry.generator import load_generator  # imports torch, which other commands do without

    if not arguments.out.parent.is_dir():
        raise UsageError(f"--out {arguments.out}: the folder does not exist")
    generator = load_generator(Store(arguments.root), arguments.model)
    (film,) = generator(
        [arguments.prompt], seed=arguments.seed, steps=arguments.steps, guidance=arguments.guidance
    )
    fps = generator.clip.fps
    encode(arguments.out, film.frames, fps=fps, audio=film.audio[None], audio_rate=film.audio_rate)
    print(arguments.out)
    return 0
