"""The ends of log files."""

from pathlib import Path

_BLOCK = 65536


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` non-empty lines of a file's last 64 KiB, oldest first; none where it is missing."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _BLOCK))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    # A progress bar rewrites its line with carriage returns; its last state is the line.
    found = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in found if line][-lines:]
