"""A clip's, a source's or a generated clip's story as text, in the order in which it happened."""

import json
from collections.abc import Iterable, Iterator

from veo_core.evaluate.records import ClipScore
from veo_core.lineage.told_text import figure, line, tail
from veo_core.lineage.trained import Training
from veo_core.lineage.why import ClipStory, Fate, Story
from veo_core.records.clip import Clip, Source
from veo_core.records.generated import GeneratedClip
from veo_core.records.ledger import Decision


def story_text(story: Story) -> str:
    """The whole story."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    if story.generated is not None:
        yield from _generated(story.generated)
        yield from _score(story.score) if story.score else ()
        yield line("model", ", ".join(story.models) or "none of this was registered")
    else:
        yield f"source {story.source_id}"
        if story.forgotten:
            yield from _forgotten(story.forgotten)
        yield from _source(story.source) if story.source else ()
        for fate in story.fates:
            yield from _fate(fate)
        if not story.clips:
            yield line("clips", "none was made of it")
        for training in story.trainings:
            yield _training(training, "seen by", "held back for")
        if not story.trainings:
            yield line("seen by", "no dataset of these runs holds a clip of it")
        for clip in story.clips:
            yield ""
            yield from _clip(clip)
    yield from tail(story)


def _source(source: Source) -> Iterator[str]:
    yield line("file", f"{source.name} ({source.file.bytes} bytes, sha256 {source.file.sha256})")
    yield line("origin", " ".join(filter(None, (source.origin, source.source_url, source.retrieved_at))))
    yield line("author", " ".join(filter(None, (source.author or "not stated", source.author_url))))
    yield line("licence", " ".join(filter(None, (source.licence_id or "not stated", source.licence_url))))
    yield line("training", f"{source.ml_training}: {source.evidence or 'no evidence'}")
    if source.credentials is not None:
        held = source.credentials
        made = ", ".join(filter(None, (held.generator, held.issuer, held.state)))
        yield line("C2PA", f"{held.claim} ({made}), manifest sha256 {held.sha256}")
    if source.caption:
        yield line("came with", source.caption)
    if source.transcript:
        yield line("spoken", source.transcript)


def _clip(story: ClipStory) -> Iterator[str]:
    yield f"clip {story.clip_id}"
    if story.clip is not None:
        yield from _prepared(story.clip)
    for fate in story.fates:
        yield from _fate(fate)
    for twin in story.duplicates:
        yield line("its copy", f"{twin.clip_id} ({twin.name}): {_reason(twin.decision)}")
    if story.clip is not None and story.clip.split:
        yield line("packed", f"{story.clip.split}, bucket {story.clip.bucket}, shard {story.clip.shard}")
    for training in story.trainings:
        yield _training(training, "trained on it", "held back")


def _training(training: Training, trained: str, held_back: str) -> str:
    models = ", ".join(training.models) or "no model"
    where = f"run {training.run}, dataset {training.dataset[:12]}, {training.split}"
    return line(trained if training.split == "train" else held_back, f"{models} ({where})")


def _prepared(clip: Clip) -> Iterator[str]:
    facts = clip.facts
    yield line("shot", f"{clip.shot}, from {clip.start:.2f} s of {clip.source.name}")
    yield line(
        "prepared",
        f"{facts.width}x{facts.height}, {facts.frames} frames at {facts.fps:g} fps, {facts.seconds:.2f} s, "
        f"sound {facts.audio_seconds:.2f} s at {facts.audio_rate} Hz, sha256 {clip.media.sha256}",
    )
    measured = {name: value for name, value in clip.signals.model_dump().items() if value is not None}
    yield line("signals", ", ".join(f"{name} {figure(value)}" for name, value in measured.items()))
    if clip.description is not None:
        said = clip.description
        yield line("described", f"{said.text} ({said.judge}, {said.judge_version})")
    if clip.annotation is not None:
        note = clip.annotation
        yield line("caption", f"{note.caption} ({note.judge}, {note.judge_version})")
        yield line("short", note.short_caption)
        yield line("heard", note.sound or "nothing")
    for flag in clip.flags:
        yield line("flag", f"{flag.kind}: {flag.policy}, {len(flag.regions)} regions")


def _fate(fate: Fate) -> Iterator[str]:
    decision = fate.decision
    stage = fate.task.rsplit("/", 1)[-1]
    yield line(stage, ": ".join(filter(None, (decision.verdict, _reason(decision)))))
    if decision.partner:
        yield line("", f"compared with {decision.partner} ({fate.partner_name or 'name not known'})")
    if decision.evidence:
        yield line("", decision.evidence)
    if decision.judge:
        yield line("", f"judge {decision.judge} {decision.judge_version}".strip())


def _reason(decision: Decision) -> str:
    """Rule, figures and scores in one line."""
    parts = [decision.rule]
    if decision.value:
        limit = f" (threshold {decision.threshold})" if decision.threshold else ""
        parts.append(f"{decision.value}{limit}")
    parts += [f"{name} {figure(value)}" for name, value in sorted(decision.scores.items())]
    return ", ".join(filter(None, parts))


def _generated(clip: GeneratedClip) -> Iterator[str]:
    yield f"generated clip {clip.clip_id}"
    yield line("prompt", f"{clip.prompt} ({clip.mode}, {clip.split}, seed {clip.seed})")
    yield line("film", f"{clip.width}x{clip.height}, {clip.frames} frames at {clip.fps:g} fps")
    if clip.first_frame is not None:
        yield line("began with", f"sha256 {clip.first_frame.sha256}")
    yield line("file", f"{clip.media.path} ({clip.media.bytes} bytes, sha256 {clip.media.sha256})")
    if clip.mark is not None:
        key = f"key {clip.mark.key_id}" + (", the published one" if clip.mark.development_key else "")
        yield line(
            "watermark", f"model {clip.mark.model_id:04x}, generation {clip.mark.generation_id:08x}, {key}"
        )
    if clip.manifest is not None:
        yield line("C2PA", f"{clip.manifest.state}, signed by {clip.manifest.issuer}")


def _score(score: ClipScore) -> Iterator[str]:
    for attribute in score.attributes:
        seen = attribute.seen or "nothing"
        right = "right" if attribute.right else "WRONG"
        yield line("asked for", f"{attribute.name} {attribute.wanted}: {right}, seen {seen}")
    if score.problem:
        yield line("problem", score.problem)


def _forgotten(note: str) -> Iterable[str]:
    value = json.loads(note)
    by = f" by {value['by']}" if value.get("by") else ""
    yield line("FORGOTTEN", f"on {value.get('when', '?')}{by}: {value.get('why') or 'no reason given'}")
