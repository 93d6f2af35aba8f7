"""The form of a public summary of training content: the template's sections with their answers."""

from typing import TypeAlias

from pydantic import Field

from veo_core.records.base import Record

NOT_STATED = "not stated"

Cell: TypeAlias = str | int | float


class Answer(Record):
    """An answer to one question of the template."""

    question: str
    answer: str
    stated: bool = Field(description="whether the run's record tells it; else the provider is to fill it in")
    rows: list[dict[str, Cell]] = Field(default_factory=list, description="what the answer lists")


class Section(Record):
    """A numbered section of the template; one that has only subsections has no answers."""

    number: str
    title: str
    answers: list[Answer] = Field(default_factory=list)


class TrainingContentSummary(Record):
    """The summary. Its answers keep the template's order."""

    schema_version: int = 1
    title: str
    template: str = Field(description="which template it follows")
    version: str = Field(description="of this summary")
    last_update: str = Field(description="ISO 8601")
    run: str = Field(description="id of the run whose record it is made from")
    sections: list[Section]


def told(question: str, answer: str, rows: list[dict[str, Cell]] | None = None) -> Answer:
    """An answer that follows from the record."""
    return Answer(question=question, answer=answer, stated=True, rows=rows or [])


def untold(question: str, note: str = "", rows: list[dict[str, Cell]] | None = None) -> Answer:
    """An answer that is the provider's to give; `note` is what the record tells in its place."""
    answer = f"{NOT_STATED}. {note}" if note else NOT_STATED
    return Answer(question=question, answer=answer, stated=False, rows=rows or [])
