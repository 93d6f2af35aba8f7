"""What needs an accelerator: `python -m benchmarks.gpu --sizes small large`; benchmarks/gpu.md says more."""

import argparse
from collections.abc import Iterator

from benchmarks.gpu import sampling, stages, training
from benchmarks.report import Row, publish, seed
from veo_core.data.spec import ClipSpec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.sizes import SIZES, BaseSize, Size
from veo_core.models.video_vae import VideoVAE
from veo_core.train.runtime import RuntimeConfig

DEFAULT_SEED = 3_301_877
TINY = Size(
    clip=ClipSpec(frames=9, height=32, width=32),
    video_vae=VideoVAE.Config(width=16, depth=1),
    audio_vae=AudioVAE.Config(width=16, depth=1),
    base=BaseSize(width=32, depth=2, heads=2, text_length=8),
    upsampler_width=16,
    upsampler_depth=1,
)
_SIZES: dict[str, Size] = {"tiny": TINY, **{str(name): size for name, size in SIZES.items()}}
_BATCHES = {"tiny": 2, "world": 256, "small": 128, "large": 8}
_SECTIONS = ("training", "sampling", "stages")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    arguments.add_argument("--sizes", nargs="+", choices=list(_SIZES), default=["small", "large"])
    arguments.add_argument("--accelerator", choices=["cuda", "cpu"], default="cuda")
    arguments.add_argument("--batch", type=int, help="clips in a step; by size where not given")
    arguments.add_argument("--steps", type=int, default=20, help="training steps that are timed")
    arguments.add_argument("--no-compile", action="store_true", help="do not compile the blocks")
    arguments.add_argument("--sections", nargs="+", choices=_SECTIONS, default=["training", "sampling"])
    arguments.add_argument("--clips", type=int, default=1024, help="clips that the stages learn from")
    arguments.add_argument("--picture-steps", type=int, default=3000, help="steps of the picture autoencoder")
    arguments.add_argument("--picture-batch", type=int, default=16, help="clips in such a step")
    arguments.add_argument("--base-steps", type=int, default=300, help="steps of the stage train_base")
    return arguments


def sections(options: argparse.Namespace, used_seed: int) -> Iterator[tuple[str, Iterator[Row]]]:
    """Names and rows of the chosen sections; the rows of one must be taken before the next is asked for."""
    runtime = RuntimeConfig(
        accelerator=options.accelerator,
        bfloat16=True,
        compile=not options.no_compile,
        compile_region="blocks",
    )
    eager = runtime.model_copy(update={"compile": False})
    for name in options.sizes:
        batch = options.batch or _BATCHES[name]
        size = _SIZES[name]
        if "training" in options.sections:
            measured = training.rows(name, size, runtime, batch=batch, steps=options.steps, seed=used_seed)
            yield f"{name} training", measured
        if "sampling" in options.sections:
            yield f"{name} sampling", sampling.rows(name, size, eager, batch=batch, seed=used_seed)
        if "stages" in options.sections:
            lengths = stages.Lengths(
                clips=options.clips,
                picture_steps=options.picture_steps,
                picture_batch=options.picture_batch,
                base_steps=options.base_steps,
                base_batch=batch,
            )
            yield from stages.sections(name, size, runtime, lengths=lengths, seed=used_seed)


def main() -> None:
    options = parser().parse_args()
    used = seed(DEFAULT_SEED)
    for title, rows in sections(options, used):
        publish("gpu", list(rows), used_seed=used, section=title)


if __name__ == "__main__":
    main()
