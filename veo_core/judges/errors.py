"""How a question to a judge can fail. Each error carries the ledger's rule for it."""


class JudgeError(Exception):
    """A question that has no answer."""

    rule = "judge"


class JudgeRefusalError(JudgeError):
    """The model declined to answer, or the server's content filter stopped it."""

    rule = "judge_refusal"


class JudgeUnparsableError(JudgeError):
    """After every attempt the answer does not fit the schema."""

    rule = "judge_unparsable"


class JudgeUnavailableError(JudgeError):
    """After every attempt the server gave no answer: 429, 5xx, a timeout, a rejected request."""

    rule = "judge_unavailable"
