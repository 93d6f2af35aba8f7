"""When to try again."""

import email.utils
import time
from collections.abc import Mapping

RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class TryAgainError(Exception):
    """An attempt failed in a way that another one may not; `wait` seconds are asked for, if any."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait (RFC 9110, section 10.2.3), None where it does not ask."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
        return max(0.0, when.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def pause(attempt: int, asked: float | None, first: float) -> float:
    """Seconds before the next try: what the server asks for, else `first` doubled at each attempt."""
    return float(first * 2**attempt) if asked is None else asked
