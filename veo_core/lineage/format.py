"""Times, sizes and digests as people read them."""

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


def size(count: int | None) -> str:
    """Bytes in a fitting unit; empty where not known."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def short(digest: str) -> str:
    """The first characters of a digest."""
    return digest[:12]
