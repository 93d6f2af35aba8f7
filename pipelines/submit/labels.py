"""Labels that say which code and which compiled pipeline a run comes from."""

import re

from pipelines.submit.compiled import Compiled
from veo_core.runner.provenance import facts

_LONGEST = 63


def provenance(compiled: Compiled, preset: str) -> dict[str, str]:
    """Legal labels: the IR's digest, the preset, the commit, and whether files differ from it."""
    source = facts()
    labels = {"ir-digest": compiled.digest, "preset": preset}
    if source["git_sha"]:
        labels |= {"git-sha": source["git_sha"], "git-dirty": str(source["git_dirty"])}
    return {name: _legal(value) for name, value in labels.items()}


def _legal(value: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", value.lower())[:_LONGEST]
