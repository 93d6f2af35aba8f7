"""Votes of raters, and what follows from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.records.base import Record
from veo_core.records.journal import read_records

Question = Literal["overall", "prompt", "picture", "sound", "sync"]
QUESTIONS: dict[Question, str] = {
    "overall": "Which clip is better as a whole?",
    "prompt": "Which shows better what the prompt asks for?",
    "picture": "Which looks better?",
    "sound": "Which sounds better?",
    "sync": "In which do sound and picture fit better in time?",
}
System = Literal["first", "second"]
Choice = Literal["first", "second", "same"]
LEAST_CAUGHT = 0.5
"""Share of catch pairs that a rater must find the same for the other votes to count."""


class Vote(Record):
    """What one rater says of one pair."""

    rater: str = Field(min_length=1, max_length=64)
    pair: str
    prompt: str
    catch: bool
    left: System
    answers: dict[Question, Choice]
    seconds: float = Field(ge=0, description="from showing the pair to the vote")
    watched: bool = Field(description="both clips were played to their ends")
    heard: bool = Field(description="with sound")


class Preference(Record):
    """The first system against the second in one question; a tie is half a win."""

    question: Question
    wins: int
    ties: int
    losses: int
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    prompts: int
    raters: int
    left_out: list[str] = Field(description="raters who found differences between equal clips")


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file, one a line; none where there is no file. A last line cut short is left out.

    Raises:
        UsageError: the file cannot be read, or a line other than the last is no vote.
    """
    return read_records(path, Vote, what="vote")


def preferences(votes: Sequence[Vote], *, seed: int = 0) -> list[Preference]:
    """The win rate of the first system in each question, with an interval resampled by prompt.

    Of several votes of a rater on a pair the last one counts.
    """
    last = {(vote.rater, vote.pair): vote for vote in votes}.values()
    careless = _careless(list(last))
    counted = [vote for vote in last if not vote.catch and vote.rater not in careless]
    found = []
    for question in QUESTIONS:
        answered = [(v, v.answers[question]) for v in counted if question in v.answers]
        if answered:
            values = {"first": 1.0, "same": 0.5, "second": 0.0}
            rate = bootstrap_mean(
                [values[choice] for _, choice in answered],
                seed=seed,
                clusters=[vote.prompt or vote.pair for vote, _ in answered],
            )
            choices = [choice for _, choice in answered]
            found.append(
                Preference(
                    question=question,
                    wins=choices.count("first"),
                    ties=choices.count("same"),
                    losses=choices.count("second"),
                    win_rate=rate.value,
                    ci_low=rate.low,
                    ci_high=rate.high,
                    prompts=rate.n,
                    raters=len({vote.rater for vote, _ in answered}),
                    left_out=sorted(careless),
                )
            )
    return found


def _careless(votes: Sequence[Vote]) -> set[str]:
    caught: dict[str, list[bool]] = {}
    for vote in votes:
        if vote.catch:
            caught.setdefault(vote.rater, []).append(all(c == "same" for c in vote.answers.values()))
    return {rater for rater, marks in caught.items() if sum(marks) < LEAST_CAUGHT * len(marks)}
