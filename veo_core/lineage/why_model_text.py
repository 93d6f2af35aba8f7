"""A registered model's story as text, from its footage to who approved it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from veo_core.curate.funnel import by_stage
from veo_core.lineage.format import duration
from veo_core.lineage.terminal import visible
from veo_core.lineage.told import Made
from veo_core.lineage.told_text import figure, line, listed, tail
from veo_core.lineage.why_model import ModelStory
from veo_core.registry.records import ModelDescription

_WIDTH = 96
_SOURCES = 12


def model_text(story: ModelStory) -> str:
    """The whole story."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: ModelStory) -> Iterator[str]:
    model = story.entry.description
    yield f"model {story.reference}"
    yield line("content", f"sha256 {story.content}")
    yield line("promoted", _promotion(story))
    yield from (line("CHANGED", f"after it was registered: {text}") for text in story.changes)
    yield ""
    yield "footage"
    yield from _footage(story, model)
    yield ""
    yield "curation"
    yield from _curation(story)
    yield ""
    yield "stages"
    yield from map(_stage, story.stages)
    yield ""
    yield "code"
    yield from _code(story)
    yield ""
    yield "gate"
    yield from _gate(model)
    yield ""
    yield "parameters"
    yield from ("  " + visible(f"{name} = {_shortened(value)}") for name, value in flat(story.parameters))
    yield ""
    yield from tail(story)


def _promotion(story: ModelStory) -> str:
    verdict = story.entry.promotion
    default = "this is the default version" if story.is_default else "another version is the default"
    reason = verdict.reason if verdict is not None else "as every version was then"
    return f"{'yes' if verdict is None or verdict.promote else 'no'}: {reason}; {default}"


def _footage(story: ModelStory, model: ModelDescription) -> Iterator[str]:
    data = model.data
    yield line("dataset", f"manifest sha256 {model.manifests.get('dataset', 'not stated')}")
    yield line(
        "clips",
        f"{data.train_clips} to train on ({data.train_seconds:.0f} s), {data.validation_clips} held back",
    )
    yield line("sources", str(data.sources))
    for row in data.licences:
        yield line("licence", f"{row.licence or 'not stated'}: {row.sources} sources, {row.clips} clips")
    splits = zip(story.sources.name, story.sources.split, strict=True)
    named = [name for name, split in splits if split == "train"]
    if named:
        more = " (--json has all)" if len(named) > _SOURCES else ""
        yield line("among them", listed(named, _SOURCES) + more)


def _curation(story: ModelStory) -> Iterator[str]:
    for stage, received, kept, lost in by_stage(story.curation):
        yield line(stage, f"{received} in, {kept} kept" + (f"; {lost}" if lost else ""))
    if not story.curation:
        yield line("", "its outcomes were not recorded")


def _stage(made: Made) -> str:
    took = duration(made.started, made.finished)
    details = [
        made.state.lower(),
        f"manifest {made.manifest[:12]}" if made.manifest else "no manifest",
        took if made.state != "CACHED" else "",
        f"{made.attempts} attempts" if made.attempts > 1 else "",
        f"image {made.image}" if made.image else "",
        made.reason,
    ]
    return line(made.task.rsplit("/", 1)[-1], ", ".join(filter(None, details)))


def _code(story: ModelStory) -> Iterator[str]:
    code = story.code
    if code is None:
        run = story.entry.description.run
        yield line("version", run.code if run is not None else "not recorded")
        return
    dirty = "with changes that were not committed" if code.git_dirty else "clean"
    yield line("git", f"{code.git_sha} ({dirty})" if code.git_sha else "no checkout, or not recorded")
    yield line("pipeline", f"{code.target}, IR sha256 {code.ir_digest}")
    for pool, image in code.images.items():
        yield line("image", f"{pool}: {image}")
    if not code.images:
        yield line("image", "none is recorded" if code.target != "embedded" else "none: it ran as installed")
    yield line("on", ", ".join(filter(None, (f"Python {code.python}" if code.python else "", code.platform))))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters by their dotted names."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}... ({len(text)} characters)"


def _gate(model: ModelDescription) -> Iterator[str]:
    decision = model.decision
    yield line("decision", f"{'open' if decision.approved else 'closed'}, report sha256 {decision.report}")
    for check in decision.checks:
        state = "passed" if check.passed else f"waived by {check.waived_by}" if check.waived_by else "FAILED"
        yield line("rule", f"{check.name}: {state}, {check.reason}")
    for row in model.metrics:
        if row.value is not None and row.n:
            interval = "" if row.ci_low is None else f" [{figure(row.ci_low)}, {figure(row.ci_high)}]"
            where = " ".join(filter(None, (row.split, row.mode)))
            yield line("figure", f"{row.metric} {where}: {figure(row.value)}{interval} {row.unit}, n {row.n}")
    signed = model.sign_offs
    for approval in signed.approvals:
        yield line("approved by", f"{approval.role}, key {approval.key}")
    for waiver in signed.waivers:
        yield line("waiver", f"{waiver.rule} until {waiver.expires}, {waiver.owner}: {waiver.reason}")
    if not signed.approvals:
        yield line("approved by", "the gate's rules alone: nobody signed")
