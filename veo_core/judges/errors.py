"""How a question to a judge can fail. Each error carries the ledger's rule for it."""

from veo_core.judges.usage import Usage


class JudgeError(Exception):
    """A question that has no answer.

    Attributes:
        usage: what the last answer took.
        spent: what all tries took together.
    """

    rule = "judge"

    def __init__(self, message: str, usage: Usage | None = None, spent: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or Usage()
        self.spent = spent or self.usage


class JudgeRefusalError(JudgeError):
    """The model declined to answer, or the server's content filter stopped it."""

    rule = "judge_refusal"


class JudgeUnparsableError(JudgeError):
    """After every attempt the answer does not fit the schema."""

    rule = "judge_unparsable"


class JudgeUnavailableError(JudgeError):
    """After every attempt the server gave no answer: 429, 5xx, a timeout, a rejected request."""

    rule = "judge_unavailable"


class JudgeEvidenceError(JudgeError):
    """What the question is about cannot be read."""

    rule = "judge_evidence"


class JudgeBudgetError(JudgeError):
    """The budget allows no further request."""

    rule = "judge_budget"
