"""Asking a judge whether two clips show the same scene: only where the measurements do not tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from veo_core.curate.judging import judge_version
from veo_core.judges.batch import run_all
from veo_core.judges.config import JudgeConfig
from veo_core.judges.evidence import Evidence, Question
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.files import FileRef
from veo_core.storage import Store

PROMPT = (
    "The first half of these pictures are frames of one video clip in time order, the second half are frames "
    "of another. Do both show the same recorded scene, so that one is a copy of the other, though it may be "
    "re-encoded, cropped, mirrored, stamped with a logo, or cut shorter? Two recordings of like things are "
    "not the same scene."
)


class SameScene(Record):
    """What the judge answers."""

    same_scene: bool
    reason: str


@dataclass(frozen=True)
class Judged:
    """A judge's word on a pair: whether the clips are copies, why, and which version said so."""

    same: bool
    reason: str
    version: str


def ask_same_scene(
    pairs: Sequence[tuple[int, int]],
    clips: Iterable[Clip],
    ids: Sequence[str],
    *,
    prompt: str,
    judge: JudgeConfig,
    store: Store,
    label: str,
) -> list[Judged]:
    """The judge's word on each pair; a pair without an answer is not the same.

    Args:
        pairs: the pairs, by rows of `ids`.
        clips: all clips, of which those of the pairs are looked up.
        ids: clip ids by row.
        prompt, judge, store, label: see `run_all`.
    """
    if not pairs:
        return []
    wanted = {ids[row] for pair in pairs for row in pair}
    frames = {clip.clip_id: clip.key_frames for clip in clips if clip.clip_id in wanted}
    questions = [_question(prompt, frames[ids[first]], frames[ids[second]], store) for first, second in pairs]
    outcomes = run_all(
        questions, answer=SameScene, config=judge, store=store, label=label, stop_on_budget=False
    )
    return [
        Judged(
            outcome.answered.answer.same_scene,
            outcome.answered.answer.reason,
            judge_version(outcome.answered.version, prompt, SameScene),
        )
        if outcome.answered is not None
        else Judged(False, str(outcome.error), "")
        for outcome in outcomes
    ]


def _question(prompt: str, one: Sequence[FileRef], other: Sequence[FileRef], store: Store) -> Question:
    count = min(len(one), len(other))
    shown = [*one[:count], *other[:count]]
    return Question(
        prompt=prompt,
        content=tuple(frame.sha256 for frame in shown),
        load=lambda: Evidence(images=tuple(store.get_bytes(frame) for frame in shown)),
    )
