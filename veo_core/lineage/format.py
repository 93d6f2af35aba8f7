"""Times as people read them."""

from datetime import UTC, datetime


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as a time in UTC."""
    if seconds is None:
        return "not known"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "not known"


def duration(start: float | None, end: float | None) -> str:
    """The time between two moments; empty where either is not known."""
    if start is None or end is None or end < start:
        return ""
    seconds = end - start
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
