"""Asks the judge about prompts and images before anything is made of them. Without an answer nothing is."""

import asyncio
import sys
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager

from veo_core.errors import UsageError
from veo_core.generate.request import Request
from veo_core.generate.screening import Mode, policy_of, shown_pictures
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeBudgetError, JudgeUnavailableError
from veo_core.moderation.filter import LiveFilter
from veo_core.moderation.verdicts import Ruling
from veo_core.moderation.world_judge import world_judge
from veo_core.serve.metrics import Metrics
from veo_core.serve.refusal import RefusalError
from veo_core.serve.settings import Settings

_RETRY_AFTER = 10  # seconds


class PromptFilter:
    """The filter that the safety evaluation measured, with its questions.

    Args:
        mode: who is asked, which says what is refused.

    Raises:
        UsageError: no judge server is set, or it may not be asked.
    """

    def __init__(self, mode: Mode, config: JudgeConfig, metrics: Metrics) -> None:
        self._filter = LiveFilter(policy_of(mode), config)
        self._metrics = metrics

    async def check(self, requests: Sequence[Request]) -> None:
        """Whether clips may be made of what is asked for.

        Raises:
            RefusalError: 422, a prompt or an image is unsafe, or the judge says nothing usable of it; 503,
                no judge answers.
        """
        prompts = {request.prompt for request in requests if request.prompt}
        images = [request for request in requests if request.image is not None]
        questions = [
            *(self._check("prompt", self._filter.prompt(text)) for text in prompts),
            # The image will be the clip's first picture.
            *(self._check("image", self._filter.pictures(shown_pictures(request))) for request in images),
        ]
        await asyncio.gather(*questions)

    async def _check(self, what: str, asked: Awaitable[Ruling]) -> None:
        try:
            ruling = await asked
        except (JudgeUnavailableError, JudgeBudgetError, UsageError) as error:
            print(f"prompt filter: {error}", file=sys.stderr, flush=True)
            self._metrics.verdicts.labels("unavailable").inc()
            raise RefusalError(503, "the prompt filter does not answer; try again", _RETRY_AFTER) from None
        if ruling.unsafe:
            self._metrics.verdicts.labels("refused" if ruling.answered else "unusable").inc()
            raise RefusalError(422, f"the safety filter refuses the {what}: {ruling.refusal}")
        self._metrics.verdicts.labels("passed").inc()

    async def close(self) -> None:
        await self._filter.close()


@contextmanager
def judge_of(settings: Settings) -> Iterator[JudgeConfig | None]:
    """The judge that the settings name, None where the filter is off; the world's own runs in a thread."""
    if settings.prompt_filter == "off":
        yield None
    elif settings.prompt_filter == "judge":
        yield settings.judge
    else:
        with world_judge(settings.judge) as judge:
            yield judge
