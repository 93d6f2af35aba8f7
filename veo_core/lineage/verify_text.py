"""The verification of a run as text: what is wrong, stage by stage."""

from collections import Counter
from collections.abc import Iterator

from veo_core.lineage.terminal import visible
from veo_core.lineage.verify import Verification

_LISTED = 20


def verification_text(found: Verification) -> str:
    """What was looked at, and what is wrong with it."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Verification) -> Iterator[str]:
    counts = Counter((problem.task, problem.part, problem.trouble) for problem in found.problems)
    shown: Counter[tuple[str, str, str]] = Counter()
    for problem in found.problems:
        key = (problem.task, problem.part, problem.trouble)
        shown[key] += 1
        if shown[key] <= _LISTED:
            detail = f" ({problem.detail})" if problem.detail else ""
            yield visible(
                f"{problem.trouble} {problem.task or 'run'}: {problem.part}, {problem.path}{detail}"
            )
        if shown[key] == _LISTED and counts[key] > _LISTED:
            yield visible(f"{problem.trouble} {problem.task}: {problem.part}, {counts[key] - _LISTED} more")
    yield from (visible(f"note: {note}") for note in found.notes)
    looked = (
        f"{found.artifacts} artifacts of run {found.run} and {found.objects} files of store {found.store}"
    )
    gigabytes = f"{found.bytes / 1e9:.3g} GB"
    if not found.problems:
        yield visible(f"intact: {looked} ({gigabytes}) are as they were")
        return
    totals = Counter(problem.trouble for problem in found.problems)
    told = ", ".join(f"{count} {trouble}" for trouble, count in sorted(totals.items()))
    yield visible(
        f"{'intact but for' if found.intact else 'NOT INTACT:'} {told}; looked at {looked} ({gigabytes})"
    )
