"""An artifact's story as text: what it is, what made it from what, what was made of it."""

from collections.abc import Iterator

from veo_core.lineage.format import duration, moment
from veo_core.lineage.told import Made
from veo_core.lineage.told_text import line, listed, tail
from veo_core.lineage.why_artifact import ArtifactStory


def artifact_text(story: ArtifactStory) -> str:
    """The whole story."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: ArtifactStory) -> Iterator[str]:
    yield f"artifact {story.sha256}"
    yield line("is", listed(story.what))
    sizes = [
        f"{story.bytes} bytes" if story.bytes is not None else "",
        f"{story.rows} rows" if story.rows is not None else "",
    ]
    yield line("at", ", ".join(filter(None, (story.place or "not stated", *sizes))))
    if story.items:
        more = story.items_in_all - len(story.items)
        yield line("of", ", ".join(story.items) + (f" and {more} more" if more else ""))
    yield from (line("CHANGED", text) for text in story.changes)
    yield from _made(story.made) if story.made is not None else ()
    for use in story.uses:
        gave = f", which made {use.manifest}" if use.manifest else ", which made nothing"
        yield line("read by", f"{use.task} as {use.role}{gave}")
    behind = "seen by" if story.items else "behind"
    yield line(behind, ", ".join(story.models) or "no model that is known")
    if story.runs:
        yield line("also in", f"runs {listed(story.runs)}")
    yield from tail(story)


def _made(made: Made) -> Iterator[str]:
    details = [
        moment(made.started) if made.started is not None else "",
        duration(made.started, made.finished),
        f"image {made.image}" if made.image else "",
        made.reason,
    ]
    state = made.state.lower()
    yield line("made by", ", ".join(filter(None, (f"{made.task} of run {made.run} ({state})", *details))))
    if made.state == "CACHED":
        source = f"run {made.cached_from}" if made.cached_from else "an earlier run"
        yield line("not known", f"how {source} made it, which is not here")
    if made.manifest:
        yield line("in", f"manifest sha256 {made.manifest}")
    for given in made.given:
        yield line("from", f"{given.role} {given.sha256}" + (f" of {given.task}" if given.task else ""))
    if not made.given:
        yield line("from", "no artifact of the run")
