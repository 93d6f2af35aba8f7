"""`veo generate`: clips with sound from a trained model."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.progress import track

if TYPE_CHECKING:
    from veo_core.data.spec import ClipSpec
    from veo_core.generate.finish import Finisher
    from veo_core.generate.jobs import Line, Prepared
    from veo_core.generate.pipeline import Film, Generator

# The modules of generation import torch, which other commands do without: they are imported where needed.


def add_parser(subcommands: Any) -> None:
    """Add `generate` to the command line."""
    parser = subcommands.add_parser("generate", help="generate clips with sound", description=__doc__)
    parser.add_argument(
        "words", nargs="*", metavar="PROMPT", help="what to film: 'a red circle moving left with a low tone'"
    )
    parser.add_argument("--prompt", action="append", default=[], help="the same; may be repeated")
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="a prompt a line; .jsonl: an object a line with prompt, image, video, audio, seed, steps, "
        "guidance, audio_guidance, sampler",
    )
    parser.add_argument(
        "--model",
        default="veo-world@default",
        metavar="REF",
        help="NAME, NAME@VERSION, a run's id, 'latest' for the latest run, or an exported folder",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--image", metavar="FILE", help="the clip starts with this image")
    given.add_argument("--video", metavar="FILE", help="make the sound for this video")
    parser.add_argument("--audio", metavar="FILE", help="make the pictures for this sound")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("clip.mp4"),
        metavar="FILE_OR_FOLDER",
        help="an .mp4 file, or a folder for several clips (default: clip.mp4)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; each further one adds 1")
    parser.add_argument("--steps", type=int, help="sampling steps of the base model")
    parser.add_argument("--guidance", type=float, help="how strongly a clip follows its prompt, 1 for none")
    parser.add_argument("--audio-guidance", type=float, help="the same for the sound alone")
    parser.add_argument("--sampler", choices=["euler", "unipc"], help="how the base model is drawn from")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="clips at a time (default: 16)")
    parser.add_argument(
        "--prompt-filter",
        choices=["judge", "world", "lexicon", "off"],
        default=os.environ.get("VEO_PROMPT_FILTER") or "world",
        help="judge: the server at OPENAI_BASE_URL behind the lexicon; world: the world's own, started here "
        "(default); lexicon: no judge; off. VEO_PROMPT_FILTER sets another default",
    )
    parser.add_argument(
        "--judge-model", default="world-detector-1", metavar="NAME", help="model that the judge is asked for"
    )
    parser.add_argument("--no-watermark", action="store_true", help="leave picture and sound unmarked")
    parser.add_argument("--no-manifest", action="store_true", help="leave the clips without a C2PA manifest")
    add_root(parser, "store of the model")
    add_runs(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    if arguments.batch < 1:
        raise UsageError(f"--batch {arguments.batch}: must be at least 1")
    lines, problems = _lines(arguments)
    _check_target(arguments.out, len(lines) > 1 or arguments.prompts is not None)

    from veo_core.cli.model_reference import open_model

    generator = open_model(arguments.model, root=arguments.root, runs_dir=arguments.runs)
    prepared, more = _prepared(lines, generator)
    problems += more
    prepared, more = _filtered(prepared, arguments)
    problems += more
    written, more = _make(prepared, generator, arguments) if prepared else ([], [])
    for path in sorted(written):
        print(path)
    problems += more
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems and arguments.prompts is not None:
        print(f"error: {len(written)} clips are written, {len(problems)} are not", file=sys.stderr)
    return 2 if problems else 0


def _lines(arguments: argparse.Namespace) -> tuple[list["Line"], list[str]]:
    """What is to be made, and what is wrong with lines of the prompt file."""
    from veo_core.generate.jobs import Job, Line, read_prompts

    named = ("image", "video", "audio", "seed", "steps", "guidance", "audio_guidance", "sampler")
    defaults = Job.parse({name: getattr(arguments, name) for name in named}, where="arguments")
    prompts = [*arguments.words, *arguments.prompt]
    if arguments.prompts is not None:
        if prompts:
            raise UsageError("give a prompt or --prompts FILE, not both")
        return read_prompts(arguments.prompts, defaults)
    if not prompts and not (arguments.image or arguments.video or arguments.audio):
        raise UsageError("nothing to make: give --prompt TEXT, --prompts FILE, --image, --video or --audio")
    several = len(prompts) > 1
    return [
        Line(
            number,
            f"prompt {number}" if several else "",
            Job(prompt=prompt, seed=(defaults.seed or 0) + number - 1).over(defaults),
        )
        for number, prompt in enumerate(prompts or [""], start=1)
    ], []


def _check_target(out: Path, several: bool) -> None:
    """Make the folder that clips go to, and see whether it can be written before any work is done."""
    is_file = out.suffix == ".mp4"
    if is_file and several:
        raise UsageError(f"--out {out}: several clips need a folder")
    folder = out.parent if is_file else out
    try:
        if is_file and out.is_dir():
            raise UsageError(f"--out {out}: it is a folder")
        if not is_file:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None


def _prepared(lines: list["Line"], generator: "Generator") -> tuple[list["Prepared"], list[str]]:
    """The lines with their media read, and what is wrong with the others."""
    from veo_core.generate.jobs import prepare

    found: list[Prepared] = []
    problems = []
    for line in lines:
        try:
            found.append(prepare(line, generator))
        except UsageError as error:
            problems.append(str(error))
            continue
        for note in found[-1].notes:
            print(f"{line.where}: {note}" if line.where else note, file=sys.stderr)
    return found, problems


def _filtered(
    prepared: list["Prepared"], arguments: argparse.Namespace
) -> tuple[list["Prepared"], list[str]]:
    """The lines that the safety filter lets pass, and why not the others."""
    from veo_core.generate.screening import screen

    rulings = screen([item.request for item in prepared], arguments.prompt_filter, arguments.judge_model)
    problems = []
    for item, ruling in zip(prepared, rulings, strict=True):
        if ruling.unsafe:
            where = f"{item.line.where}: " if item.line.where else ""
            problems.append(f"{where}the safety filter refuses this: {ruling.refusal}")
    return [item for item, ruling in zip(prepared, rulings, strict=True) if not ruling.unsafe], problems


def _make(
    prepared: list["Prepared"], generator: "Generator", arguments: argparse.Namespace
) -> tuple[list[Path], list[str]]:
    """Generate and write; the paths of what is written, and why the rest is not."""
    from veo_core.generate.finish import Finisher

    written, problems = [], []
    finisher = Finisher(
        generator.identity, watermark=not arguments.no_watermark, manifest=not arguments.no_manifest
    )
    films = generator.films([item.request for item in prepared], batch=arguments.batch)
    for number, film in track(films, total=len(prepared), label="generate", unit="clips"):
        item = prepared[number]
        path = arguments.out if arguments.out.suffix == ".mp4" else arguments.out / item.line.file_name
        try:
            _write(path, item, film, finisher, generator.clip)
        except UsageError as error:
            problems.append(str(error))
            continue
        written.append(path)
    return written, problems


def _write(path: Path, item: "Prepared", film: "Film", finisher: "Finisher", clip: "ClipSpec") -> None:
    from veo_core.generate.given import SOUND_RATE
    from veo_core.generate.write import dubbed, write_file

    request = item.request
    if item.video is None or item.line.job.video is None:
        sound, rate = (None, 0) if item.sound is None else (item.sound.own, SOUND_RATE)
        finished = finisher.finish(film, request, fps=clip.fps, own_sound=sound, own_rate=rate)
    else:
        film = finisher.marked(film, request)
        seconds = clip.seconds + 1.0 / clip.fps if item.video.is_longer else None
        source = Path(item.line.job.video)
        joined = dubbed(source, seconds=seconds, audio=film.audio[None], audio_rate=film.audio_rate)
        finished = finisher.signed(joined, request)
    write_file(path, finished.data)
