"""How stages ask a judge about clips, and what the ledger says of clips without an answer.

    clips = ClipTable(manifest, store)
    answers = ask_about(clips, question, answer=SomeAnswer, judge=config.judge,
                        max_failed_share=config.max_failed_share, context=context)
    with ClipWriter(clips, config=config, context=context) as out:
        for clip in clips:
            outcome = answers[clip.clip_id]          # KeyError where `question` gave None
            if outcome.answered is None:
                record_unanswered(out, clip, outcome, config.judge)
            else:
                outcome.answered.answer              # a SomeAnswer; .version is the served model
    metrics = judge_metrics(answers, config.judge)
    return out.manifest(max_failed_share=config.max_failed_share, metrics=metrics)

`question` makes a `Question` of a clip, or None where nothing is to be asked; it is called twice for each
clip, so it must be cheap, and loads nothing: `Question.load` does. `Question.review` may look at an answer
and give a second question that is asked instead. `ask_about` raises `PartFinished` under `--part`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator

from veo_core.curate.decisions import ClipWriter
from veo_core.judges.answers import Answers, Outcome
from veo_core.judges.batch import ask_all
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeEvidenceError, JudgeUnavailableError
from veo_core.judges.evidence import Evidence, Question
from veo_core.judges.schema import strict_schema
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Clip
from veo_core.stage import Context, PartFinished
from veo_core.storage import Store

AnswerT = TypeVar("AnswerT", bound=Record)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


def ask_about(
    clips: Iterable[Clip],
    question: Callable[[Clip], Question | None],
    *,
    answer: type[AnswerT],
    judge: JudgeConfig,
    max_failed_share: float,
    context: Context,
) -> Answers[AnswerT]:
    """Ask one question about each clip of a table that can be iterated several times.

    Under `--part` only those questions are asked that belong to the part, under its share of the budget.

    Args:
        clips: the clips.
        question: what to ask about a clip, None for nothing.
        answer: the type of the answers.
        judge: whom to ask.
        max_failed_share: share of the questions that may get no answer.
        context: the stage's context.

    Raises:
        PartFinished: the stage runs a part only, and its questions are answered.
        UsageError: see `ask_all`.
    """

    def questions() -> Iterator[tuple[str, Question]]:
        for clip in clips:
            asked = question(clip)
            if asked is not None:
                yield clip.clip_id, asked

    part = context.part
    if part is not None:
        judge = judge.model_copy(update={"budget": judge.budget.part(part.index, part.count)})
    answers = ask_all(
        questions,
        answer=answer,
        config=judge,
        store=context.store,
        label=context.stage,
        max_failed_share=max_failed_share,
        mine=part.has_item if part else None,
    )
    if part is not None:
        raise PartFinished(answers.unique, "questions")
    return answers


def record_unanswered(out: ClipWriter, clip: Clip, outcome: Outcome[Any], judge: JudgeConfig) -> None:
    """Decide on a clip without an answer: the judge's refusal or nonsense quarantines it, a server that
    gives no answer fails it.
    """
    error = outcome.error
    assert error is not None
    decide = out.fail if isinstance(error, JudgeUnavailableError | JudgeEvidenceError) else out.quarantine
    decide(clip, error.rule, evidence=str(error), judge=judge.model)


def judge_metrics(answers: Answers[Any], judge: JudgeConfig) -> dict[str, float]:
    """What a stage's answers took, for its manifest: the same however often the stage was interrupted."""
    usage = answers.usage
    return {
        "judge_answers": float(usage.requests),
        "judge_input_tokens": float(usage.input_tokens),
        "judge_output_tokens": float(usage.output_tokens),
        "judge_bytes_sent": float(usage.bytes_sent),
        "judge_cost": judge.budget.cost(usage),
    }


def key_frame_question(clip: Clip, prompt: str, store: Store) -> Question:
    """A question about a clip's key frames."""
    frames = tuple(clip.key_frames)
    return Question(
        prompt=prompt,
        content=tuple(frame.sha256 for frame in frames),
        load=lambda: Evidence(images=tuple(store.get_bytes(frame) for frame in frames)),
    )


def judge_version(served: str, prompt: str, answer: type[Record]) -> str:
    """What gave a verdict, besides the model asked for: the model that the server says it ran, and the
    digest of the prompt and the schema.
    """
    asked = sha256_bytes(canonical_json({"prompt": prompt, "schema": strict_schema(answer)}))
    return f"{served} {asked[:12]}"
