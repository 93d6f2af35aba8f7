"""Scoring a folder of clips that any system made."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.evaluate.measure import measure_all
from veo_core.evaluate.networks import NetworksConfig
from veo_core.evaluate.records import ClipScore, Measured
from veo_core.generate.suites import PromptSuite, SuitePrompt
from veo_core.records.files import FileRef
from veo_core.records.generated import Mode
from veo_core.stage import Context, default_workers
from veo_core.storage import Store

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
_NUMBER = re.compile(r"^(\d+)(?!\d)")


@dataclass(frozen=True)
class FolderClip:
    """A clip of a folder, and the prompt that it answers."""

    path: Path
    prompt: SuitePrompt


def clips_of(folder: Path, suite: PromptSuite | None) -> list[FolderClip]:
    """The clips of a folder with their prompts, in the order of their names.

    A clip answers the prompt whose id is its name without ending, else the one in the text file of that name
    beside it, else the one whose line is the number that its name begins with: from 0 on where a clip is
    numbered 0, as benchmarks publish theirs, else from 1 on, as `veo generate` names them. Without a suite,
    the text file is the prompt, and a clip without one has none.

    Raises:
        UsageError: there is no such folder, no clip in it, or a clip belongs to no prompt of the suite.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of clips")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise UsageError(f"{folder}: holds no clip; expected files that end in {', '.join(SUFFIXES)}")
    if suite is None:
        return [FolderClip(path, SuitePrompt(identity="", text=_beside(path))) for path in paths]
    by_id = {prompt.identity: prompt for prompt in suite.prompts if prompt.identity}
    by_text = {prompt.text: prompt for prompt in suite.prompts}
    first = 0 if any(_number(path) == 0 for path in paths) else 1
    clips = []
    for path in paths:
        place = _number(path)
        numbered = None if place is None else place - first
        prompt = by_id.get(path.stem) or by_text.get(_beside(path))
        if prompt is None and numbered is not None and 0 <= numbered < len(suite.prompts):
            prompt = suite.prompts[numbered]
        if prompt is None:
            raise UsageError(
                f"{path}: belongs to no prompt of suite {suite.name}: name it by the prompt's id or line, or "
                f"put the prompt into {path.stem}.txt"
            )
        clips.append(FolderClip(path, prompt))
    return clips


@contextmanager
def scoring(seed: int, workers: int | None = None) -> Iterator["FolderScorer"]:
    """A scorer with a store of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="veo-eval-") as root:
        yield FolderScorer(Store(root), seed, workers or default_workers())


class FolderScorer:
    """Measures clips where they lie."""

    def __init__(self, store: Store, seed: int, workers: int) -> None:
        self._store, self._seed, self._workers = store, seed, workers

    def generated(
        self,
        clips: Sequence[FolderClip],
        *,
        split: str,
        mode: Mode = "t2v",
        networks: NetworksConfig | None = None,
    ) -> list[Measured]:
        """Clips that a system made for a suite."""
        return self._measure([self._score(clip, split, mode) for clip in clips], networks)

    def real(self, clips: Sequence[FolderClip], *, networks: NetworksConfig | None = None) -> list[Measured]:
        """Real clips, which give each figure's floor."""
        return self._measure([self._score(clip, "real", "") for clip in clips], networks)

    def _score(self, clip: FolderClip, split: str, mode: str) -> ClipScore:
        media = self._linked(clip.path)
        return ClipScore(
            clip_id=media.sha256,
            group="real" if not mode else "generated",
            prompt=clip.prompt.text,
            split=split,
            mode=mode,
            tags=clip.prompt.tags,
            media=media,
        )

    def _linked(self, path: Path) -> FileRef:
        """A file of the user's as an object of the store, without a copy."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name = f"clips/{digest}{path.suffix.lower()}"
        link = Path(self._store.root) / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(path.resolve())
        return FileRef(path=name, sha256=digest, bytes=path.stat().st_size)

    def _measure(self, scores: list[ClipScore], networks: NetworksConfig | None) -> list[Measured]:
        networks = networks or NetworksConfig()
        context = Context(
            stage="evaluate",
            store=self._store,
            seed=self._seed,
            key=networks.digest[:32],
            workers=self._workers,
        )
        measured = context.map_shards(
            scores,
            partial(measure_all, root=self._store.root, networks=networks),
            identity=lambda score: f"{score.group} {score.split} {score.mode} {score.prompt} {score.clip_id}",
            result=Measured,
            shard_size=8,
        )
        return sorted(measured, key=lambda row: (row.score.prompt, row.score.clip_id))


def _number(path: Path) -> int | None:
    match = _NUMBER.match(path.stem)
    return int(match[1]) if match else None


def _beside(path: Path) -> str:
    text = path.with_suffix(".txt")
    try:
        return text.read_text(encoding="utf-8").strip() if text.is_file() else ""
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{text}: cannot be read as UTF-8 text") from None
