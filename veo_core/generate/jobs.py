"""From a command line or a prompt file to requests; a bad line is told with its number, the others go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.generate.given import GivenSound, GivenVideo, read_image, read_sound, read_video
from veo_core.generate.pipeline import Generator
from veo_core.generate.request import Request
from veo_core.models.text import split_words
from veo_core.records.base import Record
from veo_core.records.drawing import Drawing, SamplerConfig


class Job(Record):
    """One clip as a user asks for it: a line of a JSONL prompt file."""

    prompt: str = ""
    image: str | None = Field(default=None, description="image that the clip starts with")
    video: str | None = Field(default=None, description="video to make the sound for")
    audio: str | None = Field(default=None, description="sound to make the pictures for")
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    steps: int | None = Field(default=None, ge=1, description="sampling steps of the base model")
    guidance: float | None = Field(default=None, description="how strongly the clip follows the prompt")
    audio_guidance: float | None = Field(default=None, description="how strongly its sound does")
    sampler: str | None = Field(default=None, description="euler or unipc")

    def over(self, defaults: "Job") -> "Job":
        """This job, with what it leaves out taken from `defaults`."""
        return defaults.model_copy(update=self.model_dump(exclude_defaults=True))

    def sampler_config(self, drawing: Drawing, where: str) -> SamplerConfig:
        """How the clip is drawn: as `drawing` says, but for what the job names.

        Raises:
            UsageError: a value is out of its range.
        """
        sound = self.guidance if self.audio_guidance is None else self.audio_guidance
        chosen = {
            "solver": self.sampler,
            "steps": self.steps,
            "video_guidance": self.guidance,
            "audio_guidance": sound,
        }
        usual = drawing.sampler if self.video is None else drawing.video_to_audio_sampler
        named = {key: value for key, value in chosen.items() if value is not None}
        return SamplerConfig.parse(usual.model_dump() | named, where=where)


@dataclass(frozen=True)
class Line:
    """A job and where it was asked for. number: from 1 on. where: what errors call it, empty for none."""

    number: int
    where: str
    job: Job

    @property
    def file_name(self) -> str:
        words = "-".join(word for word in split_words(self.job.prompt) if word.isalnum())
        return f"{self.number:04d}{'-' * bool(words)}{words[:60]}.mp4"


@dataclass(frozen=True)
class Prepared:
    """A line whose media are read. notes: what the user should know about them."""

    line: Line
    request: Request
    video: GivenVideo | None
    sound: GivenSound | None
    notes: Sequence[str]


def read_prompts(path: Path, defaults: Job) -> tuple[list[Line], list[str]]:
    """The jobs of a prompt file, and what is wrong with the lines that are none.

    A file whose name ends in `.jsonl` holds a JSON object a line, with the keys of `Job` and paths relative
    to the file; any other one holds a prompt a line. Empty lines are passed over. A line that names no seed
    takes the default one plus the number of lines before it.

    Raises:
        UsageError: the file cannot be read, or holds no prompt.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    lines: list[Line] = []
    problems: list[str] = []
    for number, row in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not row.strip():
            continue
        where = f"{path}:{number}"
        try:
            job = _parse(row, where, path.parent) if path.suffix == ".jsonl" else Job(prompt=row.strip())
        except UsageError as error:
            problems.append(str(error))
            continue
        if job.seed is None:
            job = job.model_copy(update={"seed": (defaults.seed or 0) + number - 1})
        lines.append(Line(number, where, job.over(defaults)))
    if not lines and not problems:
        raise UsageError(f"{path}: it holds no prompt")
    return lines, problems


def prepare(line: Line, generator: Generator) -> Prepared:
    """Read what a job names, and check that the model can do it.

    Raises:
        UsageError: in one line, what is wrong and where.
    """
    job, clip, notes = line.job, generator.clip, []
    image = video = sound = None
    try:
        if job.image is not None:
            image, note = read_image(job.image, clip.height, clip.width)
            notes.append(note)
        if job.video is not None:
            video, note = read_video(job.video, clip)
            notes.append(note)
        if job.audio is not None:
            sound, note = read_sound(job.audio, clip)
            notes.append(note)
        request = Request(
            job.prompt,
            seed=job.seed or 0,
            sampler=job.sampler_config(generator.drawing, "sampler"),
            image=image,
            video=None if video is None else video.frames,
            audio=None if sound is None else sound.samples,
        )
        generator.check(request)
    except UsageError as error:
        raise UsageError(f"{line.where}: {error}" if line.where else str(error)) from None
    unknown = generator.prompts.unknown_words(job.prompt)
    if unknown:
        notes.append(f"words that the model was not trained on: {', '.join(unknown)}")
    return Prepared(line, request, video, sound, [note for note in notes if note])


def _parse(row: str, where: str, folder: Path) -> Job:
    try:
        value = json.loads(row)
    except ValueError as error:
        raise UsageError(f"{where}: not valid JSON: {error}") from None
    if isinstance(value, Mapping):
        value = {key: _resolved(key, item, folder) for key, item in value.items()}
    return Job.parse(value, where=where)


def _resolved(key: str, value: Any, folder: Path) -> Any:
    """A path in a prompt file is relative to the file."""
    is_path = key in ("image", "video", "audio") and isinstance(value, str)
    return str(folder / value) if is_path else value
