"""Prompt suites in files: a user's own, and MovieGenBench as it is published.

MovieGenBench (Polyak et al., "Movie Gen", 2410.13720; github.com/facebookresearch/MovieGenBench) is licensed
CC BY-NC 4.0: it is read from the published files, pinned by digest, and never shipped. Its list of 1,003
video prompts holds 998 different ones; clips of equal prompts are one piece of evidence.
"""

import csv
import io
import json
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.storage.pinned import check_sha256, read_file

MOVIE_GEN_BENCH = {
    "MovieGenVideoBench.txt": "ae02a4bbebcb5506",
    "MovieGenVideoBenchWithTag.csv": "9d893204f271c7db",
    "MovieGenAudioBenchSfx.jsonl": "6e86e6ef12bb6c8f",
    "MovieGenAudioBenchSfxMusic.jsonl": "e560c60c07094dbf",
}
"""The benchmark's files at commit bab7753, with the first 64 bits of their sha256."""

_MOST_BYTES = 64_000_000
_PROMPT_KEYS = ("prompt", "video_prompt", "text", "caption")
_SOUND_KEYS = ("audio_prompt", "music_prompt")


class SuiteFile(Record):
    """A suite that a recipe names; its digest lets caches see its content."""

    path: str = Field(description="file or URI: .txt, .csv or .jsonl")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its bytes")


class SuitePrompt(Record):
    """A prompt of a suite."""

    identity: str = Field(description="the suite's own id; empty where it has none")
    text: str
    sound: str = Field(default="", description="what is to be heard, where the suite says it apart")
    tags: list[str] = Field(default_factory=list, description="such as concept:animals, motion_level:high")


class PromptSuite(Record):
    """Prompts in the order of their file; equal ones stay, since clips are numbered by line."""

    name: str
    sha256: str
    prompts: list[SuitePrompt]

    @property
    def tags(self) -> dict[str, list[str]]:
        """The tags of each prompt's text, of its first line where it comes again."""
        return {prompt.text: prompt.tags for prompt in reversed(self.prompts)}

    @property
    def different(self) -> int:
        """How many different prompts there are: the effective number."""
        return len({prompt.text for prompt in self.prompts})


def read_suite(place: str, *, sha256: str = "") -> PromptSuite:
    """Read a suite.

    Args:
        place: a file or URI: `.txt`, a prompt a line; `.csv` with a column `prompt`, whose other columns are
            tags; `.jsonl`, an object a line with `prompt` or `video_prompt`, and perhaps `id`,
            `audio_prompt`, `music_prompt` and `tags`.
        sha256: the file's digest, or the beginning of it; where empty, files of MovieGenBench, known by name,
            must be the published ones.

    Raises:
        UsageError: the file cannot be read, is another one than stated, or holds no prompt.
    """
    where = f"suite {place}"
    name = PurePosixPath(place).name
    data = read_file(place, where=where, most_bytes=_MOST_BYTES)
    found = check_sha256(data, sha256.lower() or MOVIE_GEN_BENCH.get(name, ""), where=where)
    try:
        text = data.decode("utf-8-sig")
        prompts = _parse(text, PurePosixPath(name).suffix)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UsageError(f"{where}: {error}") from None
    if not prompts:
        raise UsageError(f"{where}: holds no prompt")
    return PromptSuite(name=PurePosixPath(name).stem, sha256=found, prompts=prompts)


def _parse(text: str, suffix: str) -> list[SuitePrompt]:
    if suffix == ".txt":
        return [SuitePrompt(identity="", text=line.strip()) for line in text.splitlines() if line.strip()]
    if suffix == ".csv":
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return [_from_row(row, rows.line_num) for row in rows]
    if suffix == ".jsonl":
        return [
            _from_object(line, number)
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip()
        ]
    raise ValueError(f"expected a .txt, .csv or .jsonl file, not {suffix or 'a name without an ending'!r}")


def _from_row(row: dict[str, Any], line: int) -> SuitePrompt:
    text = row.pop("prompt", None)
    if not text or None in row:
        raise ValueError(f"line {line}: needs a column 'prompt', and as many values as columns")
    tags = [f"{name}:{value}" for name, value in row.items() if name != "id" and value]
    return SuitePrompt(identity=row.get("id") or "", text=text.strip(), tags=tags)


def _from_object(line: str, number: int) -> SuitePrompt:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: not valid JSON: {error}") from None
    text = (
        next((value[key] for key in _PROMPT_KEYS if key in value), None) if isinstance(value, dict) else None
    )
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"line {number}: needs an object with the text 'prompt' or 'video_prompt'")
    sounds = [value[key] for key in _SOUND_KEYS if value.get(key)]
    tags = value.get("tags") or []
    if not all(isinstance(item, str) for item in (*sounds, *tags)):
        raise ValueError(f"line {number}: audio_prompt, music_prompt and tags must be text")
    return SuitePrompt(
        identity=str(value.get("id", "")), text=text.strip(), sound=" ".join(sounds), tags=list(tags)
    )
