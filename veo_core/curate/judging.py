"""How stages ask a judge about clips, and what the ledger says of clips without an answer."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from veo_core.curate.decisions import Ledger
from veo_core.judges.batch import Evidence, Question, run_all
from veo_core.judges.client import Answered, JudgeConfig
from veo_core.judges.errors import JudgeUnavailableError
from veo_core.judges.schema import strict_schema
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Clip
from veo_core.records.ledger import Verdict
from veo_core.stage import Context
from veo_core.storage import Store

AnswerT = TypeVar("AnswerT", bound=Record)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


def ask_about(
    clips: Sequence[Clip],
    question: Callable[[Clip], Question],
    *,
    answer: type[AnswerT],
    judge: JudgeConfig,
    max_failed_share: float,
    context: Context,
    ledger: Ledger,
) -> list[tuple[Clip, Answered[AnswerT]]]:
    """Ask one question about each clip; clips without an answer go to the ledger.

    A refused or unparsable answer quarantines its clip; a server that gives none fails it.
    """
    outcomes = run_all(
        [question(clip) for clip in clips],
        answer=answer,
        config=judge,
        store=context.store,
        label=context.stage,
        max_failed_share=max_failed_share,
    )
    answered = []
    for clip, outcome in zip(clips, outcomes, strict=True):
        if outcome.answered is not None:
            answered.append((clip, outcome.answered))
            continue
        assert outcome.error is not None
        verdict: Verdict = "failed" if isinstance(outcome.error, JudgeUnavailableError) else "quarantined"
        ledger.decide(clip, verdict, outcome.error.rule, evidence=str(outcome.error), judge=judge.model)
    ledger.check_failed_share(max_failed_share, of=len(clips))
    return answered


def key_frame_question(clip: Clip, prompt: str, store: Store) -> Question:
    """A question about a clip's key frames."""
    return Question(
        prompt=prompt,
        content=tuple(frame.sha256 for frame in clip.key_frames),
        load=lambda: Evidence(images=tuple(store.get_bytes(frame) for frame in clip.key_frames)),
    )


def judge_version(served: str, prompt: str, answer: type[Record]) -> str:
    """What gave a verdict, besides the model asked for: the model that the server says it ran, and the
    digest of the prompt and the schema.
    """
    asked = sha256_bytes(canonical_json({"prompt": prompt, "schema": strict_schema(answer)}))
    return f"{served} {asked[:12]}"
