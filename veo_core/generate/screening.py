"""The safety filter on requests of one command: their prompts, and the pictures that they start from."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.generate.request import Request
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeBudgetError, JudgeUnavailableError
from veo_core.moderation.categories import CATEGORIES, GENERAL_CATEGORIES
from veo_core.moderation.filter import FilterPolicy, LiveFilter
from veo_core.moderation.verdicts import Ruling
from veo_core.moderation.world_judge import world_judge

Mode = Literal["judge", "world", "lexicon", "off"]

_SHOWN = 4  # pictures of a given video
_PASSED = Ruling(unsafe=False, tier="lexicon")


def screen(requests: Sequence[Request], mode: Mode, judge_model: str) -> list[Ruling]:
    """The ruling on each request, in their order: the first that refuses it, or that nothing does.

    Args:
        requests: what clips are to be made of.
        mode: who is asked; "off" lets everything pass.
        judge_model: model that the judge server is asked for.

    Raises:
        UsageError: no judge server is set, or it does not answer.
    """
    policy = policy_of(mode)
    if mode == "off":
        return [_PASSED] * len(requests)
    if mode == "lexicon":
        return [policy.screen(request.prompt) or _PASSED for request in requests]
    config = JudgeConfig(model=judge_model, max_attempts=3, timeout_seconds=30.0, max_wait_seconds=5.0)
    with world_judge(config) if mode == "world" else nullcontext(config) as judge:
        return asyncio.run(_asked(requests, LiveFilter(policy, judge), config.max_in_flight))


def policy_of(mode: Mode) -> FilterPolicy:
    """What is refused: the world's own category beside the general ones where its judge is asked."""
    return FilterPolicy(categories=CATEGORIES if mode == "world" else GENERAL_CATEGORIES)


def shown_pictures(request: Request) -> list[bytes]:
    """JPEG files of the pictures that a request gives: its image, or a few of its video's."""
    if request.image is not None:
        return [_jpeg(request.image)]
    if request.video is not None:
        chosen = np.unique(np.linspace(0, len(request.video) - 1, _SHOWN).round().astype(int))
        return [_jpeg(request.video[index]) for index in chosen]
    return []


async def _asked(requests: Sequence[Request], live: LiveFilter, at_once: int) -> list[Ruling]:
    room = asyncio.Semaphore(at_once)

    async def one(request: Request) -> Ruling:
        async with room:
            ruling = await live.prompt(request.prompt) if request.prompt else _PASSED
            pictures = shown_pictures(request)
            return await live.pictures(pictures) if pictures and not ruling.unsafe else ruling

    try:
        return await asyncio.gather(*map(one, requests))
    except (JudgeUnavailableError, JudgeBudgetError) as error:
        raise UsageError(
            f"the safety filter does not answer: {error}; check OPENAI_BASE_URL, or choose --prompt-filter"
        ) from None
    finally:
        await live.close()


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """A picture as a JPEG file, at the model's size."""
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert written
    return bytes(data)
