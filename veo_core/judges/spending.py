"""What a stage's answers have cost so far, and whether its budget allows one more."""

from collections.abc import Iterator
from contextlib import contextmanager

from veo_core.judges.config import Budget
from veo_core.judges.errors import JudgeBudgetError
from veo_core.judges.usage import Usage


class Spending:
    """Counts answers against a budget. Requests under way count as one each, at the mean price so far."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.used = Usage()
        self._under_way = 0

    def add(self, usage: Usage) -> None:
        """Count what an earlier run paid."""
        self.used = self.used + usage

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that is about to be sent.

        Raises:
            JudgeBudgetError: the budget allows none.
        """
        exceeded = self.exceeded
        if exceeded:
            raise JudgeBudgetError(exceeded)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @property
    def exceeded(self) -> str:
        """Which limit a further request would exceed, empty where none."""
        budget, used = self.budget, self.used
        ahead = self._under_way + 1
        tokens = used.input_tokens + used.output_tokens
        cost = budget.cost(used)
        share = ahead / used.requests if used.requests else 0.0
        checks = (
            ("max_requests", used.requests, float(ahead), budget.max_requests),
            ("max_tokens", tokens, share * tokens, budget.max_tokens),
            ("max_cost", cost, share * cost, budget.max_cost),
        )
        for name, spent, expected, limit in checks:
            if limit is not None and (spent + expected > limit or spent >= limit):
                return f"judge.budget.{name} is {limit:g}, of which {spent:.6g} is spent"
        return ""
