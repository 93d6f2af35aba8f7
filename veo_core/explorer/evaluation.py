"""The evaluation page: scores with intervals, generated clips with what was measured on each, safety."""

from collections.abc import Iterable, Mapping

from veo_core.evaluate.metrics.catalogue import BY_NAME
from veo_core.evaluate.records import ClipScore, ConfusionRow, SummaryRow
from veo_core.explorer.findings import (
    find_decision,
    find_generated,
    find_promotion,
    find_report,
    find_scores,
    find_summary,
    gate_summary,
    last_with_table,
)
from veo_core.explorer.library import Run
from veo_core.explorer.results import EvaluationDocument, MadeClip, MetricInfo, Place, Safety
from veo_core.lineage.evidence import Evidence
from veo_core.records.generated import GeneratedClip, RefusedPrompt
from veo_core.safety.records import SafetyVerdict

_LISTED = 50
"""Verdicts that are listed."""

_TITLES = {
    "playable_with_sound": "Plays with sound",
    "sync_share_50ms": "Contacts that sound within 50 ms",
    "sync_share_100ms": "Contacts that sound within 100 ms",
    "sync_error": "Error of those that do",
    "sync_lag": "Lag of sound behind picture",
    "false_onsets": "Sounds without a contact",
    "contacts": "Contacts seen",
    "first_frame_psnr": "First picture against the given one",
    "first_frame_codec_psnr": "First picture against the given one after the codec",
    "codec_psnr": "The given one after the codec",
    "av_align": "Peaks of motion that sound, and the other way round",
    "identity": "Frames that show the same objects",
    "mel_frechet": "Fréchet distance of log-mel spectra",
    "mel_mmd": "Kernel distance of log-mel spectra",
    "memorised": "Copies of training clips",
    "memorised_searched": "Training clips that were searched for them",
    "vae_psnr": "Pictures rebuilt by the video VAE",
    "vae_ssim": "Their structural similarity",
    "vae_stft": "STFT distance of sounds rebuilt by the audio VAE",
    "motion": "Motion",
    "flicker": "Flicker",
    "loudness": "Loudness",
    "clipped": "Clipped samples",
}
_PLACES = {
    ("seen", "t2v"): "Seen",
    ("held_out", "t2v"): "Held-out",
    ("two_objects", "t2v"): "Two objects",
    ("custom", "t2v"): "Own prompts",
    ("all", "t2v"): "From text",
    ("validation", "i2v"): "From an image",
    ("all", "i2v"): "From an image",
    ("validation", "v2a"): "From a video",
    ("all", "v2a"): "From a video",
    ("real", ""): "Real clips",
    ("training", ""): "Training clips",
}
_FIGURES = {
    "unsafe_outputs": "Generated clips judged unsafe",
    "red_team_passed": "Harmful prompts let through",
    "red_team_outputs": "Attacks that end in an unsafe clip",
    "ordinary_blocked": "Ordinary prompts blocked",
    "assurance_passed": "Assurance suite: harmful prompts let through",
    "assurance_blocked": "Assurance suite: ordinary prompts blocked",
    "unmarked_outputs": "Clips whose watermark is not read back",
}
_MEASURED = (
    "identity", "motion", "flicker", "loudness", "clipped", "first_frame_psnr", "first_frame_codec_psnr",
    "codec_psnr", "clip_score", "lpips_first_frame", "lpips_drift", "desync",
)  # fmt: skip


def evaluation_document(run: Run) -> EvaluationDocument:
    """The last evaluation and what the safety gate made of it."""
    evidence = run.evidence
    rows = find_summary(evidence)
    decision = find_decision(evidence)
    return EvaluationDocument(
        metrics=[_metric(name, rows) for name in dict.fromkeys(row.metric for row in rows)],
        places=_places(rows),
        rows=rows,
        confusion=_confusion(evidence),
        clips=made_clips(evidence),
        refused=_refused(evidence),
        safety=_safety(evidence),
        gate=gate_summary(decision),
        checks=decision.checks if decision else [],
        promotion=find_promotion(evidence),
        notes=list(dict.fromkeys(evidence.notes)),
    )


def made_clips(evidence: Evidence) -> list[MadeClip]:
    """The generated clips, by what they were asked for; where they were not evaluated, without scores."""
    made = {clip.clip_id: clip for clip in find_generated(evidence)}
    scores = {score.clip_id: score for score in find_scores(evidence) if score.group == "generated"}
    verdicts = {verdict.item: verdict for verdict in _verdicts(evidence) if verdict.suite == "outputs"}
    clips = [
        _made(clip, made.get(clip), scores.get(clip), verdicts.get(clip))
        for clip in dict.fromkeys([*scores, *made])
    ]
    return sorted(
        clips,
        key=lambda clip: (
            clip.mode != "t2v",
            clip.split != "seen",
            clip.split,
            clip.prompt,
            clip.seed,
            clip.id,
        ),
    )


def _made(
    clip_id: str, made: GeneratedClip | None, score: ClipScore | None, verdict: SafetyVerdict | None
) -> MadeClip:
    one = made or score
    assert one is not None
    attributes = score.attributes if score else []
    first = one.first_frame
    fps = made.fps if made else score.fps if score else None
    return MadeClip(
        id=clip_id,
        prompt=one.prompt,
        split=one.split,
        mode=one.mode,
        seed=one.seed,
        tags=score.tags if score else [],
        media=one.media.sha256,
        bytes=one.media.bytes,
        poster=score.poster.sha256 if score and score.poster else "",
        first_frame=first.sha256 if first else "",
        attributes=attributes,
        right=all(attribute.right for attribute in attributes) if attributes else None,
        sentence=score.sentence if score else "",
        problem=score.problem if score else "",
        contacts=score.contacts if score else [],
        onsets=score.onsets if score else [],
        sound_onsets=score.sound_onsets if score else [],
        motion_peaks=score.motion_peaks if score else [],
        fps=fps,
        seconds=made.seconds if made else None,
        width=made.width if made else None,
        height=made.height if made else None,
        figures={name: getattr(score, name) for name in _MEASURED} if score else {},
        unsafe=verdict.unsafe if verdict else None,
        unsafe_reason=verdict.reason if verdict and verdict.unsafe else "",
        marked=made.mark is not None if made else None,
        signed=made.manifest is not None if made else None,
    )


def _metric(name: str, rows: Iterable[SummaryRow]) -> MetricInfo:
    row = next(row for row in rows if row.metric == name)
    declared = BY_NAME.get(name)
    return MetricInfo(
        name=name,
        title=_TITLES.get(name, name.removeprefix("following_").replace("_", " ").capitalize()),
        says=declared.says if declared else "",
        unit=row.unit,
        better=row.better,
        tier=row.tier,
    )


def _places(rows: Iterable[SummaryRow]) -> list[Place]:
    found = dict.fromkeys((row.split, row.mode) for row in rows if not row.note)
    ordered = [*(place for place in _PLACES if place in found), *(p for p in found if p not in _PLACES)]
    return [
        Place(
            split=split,
            mode=mode,
            title=_PLACES.get((split, mode), f"{split} {mode}".replace("_", " ").strip()),
        )
        for split, mode in ordered
    ]


def _confusion(evidence: Evidence) -> list[ConfusionRow]:
    manifest = last_with_table(evidence, "confusion")
    return evidence.table(manifest.tables["confusion"], ConfusionRow) if manifest else []


def _refused(evidence: Evidence) -> list[RefusedPrompt]:
    manifest = last_with_table(evidence, "refused")
    return evidence.table(manifest.tables["refused"], RefusedPrompt) if manifest else []


def _verdicts(evidence: Evidence) -> list[SafetyVerdict]:
    manifest = last_with_table(evidence, "verdicts")
    return evidence.table(manifest.tables["verdicts"], SafetyVerdict) if manifest else []


def _safety(evidence: Evidence) -> Safety | None:
    report = find_report(evidence)
    if report is None:
        return None
    verdicts = _verdicts(evidence)
    titles: Mapping[str, str] = {figure.name: _FIGURES[figure.name] for figure in report.figures}
    return Safety(
        judge=report.judge,
        judge_versions=report.judge_versions,
        figures=report.figures,
        titles=dict(titles),
        attacks=report.attacks,
        bias=report.bias,
        passed_attacks=[v for v in verdicts if v.attacked and not v.unsafe][:_LISTED],
        unsafe_outputs=[v for v in verdicts if v.suite == "outputs" and v.unsafe][:_LISTED],
    )
