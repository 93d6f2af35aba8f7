"""Register a model whose evidence opens the safety gate."""

import datetime
import json
from collections import Counter
from functools import partial
from typing import TypeVar

from pydantic import Field

from veo_core.curate.funnel import filter_quality, passed_on
from veo_core.errors import UsageError
from veo_core.evaluate.records import EvaluationSummary
from veo_core.provenance.claim import PRODUCT, product_version
from veo_core.publish import External, Result, View, Views
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.drawing import Drawing
from veo_core.records.generated import GeneratedClip, ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.registry.card import model_card
from veo_core.registry.config import LocalConfig, RegistryConfig
from veo_core.registry.local import NAME_PATTERN, add
from veo_core.registry.ml_bom import ml_bom
from veo_core.registry.promotion import judge_promotion, keep_scores
from veo_core.registry.records import (
    LicenceCount,
    MarkCounts,
    ModelDescription,
    TrainedPart,
    TrainingData,
    TrainingRun,
)
from veo_core.registry.remote import Registration, open_remote
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import Decision, Policy, SafetyReport, SignOffs
from veo_core.stage import Context, stage_main
from veo_core.storage import Store
from veo_core.storage.published import published, published_if_any

RecordT = TypeVar("RecordT", bound=Record)


class RegisterConfig(Record):
    """Under which name a model is registered, and what its card says."""

    name: str = Field(
        default="veo-world", pattern=NAME_PATTERN, description="lower-case letters, digits, hyphens"
    )
    intended_use: str = Field(
        default="Research and teaching: a small model whose training, evaluation and gate can be followed "
        "from end to end. Not for production.",
        description="what the model is for, and what it is not for",
    )
    limits: list[str] = Field(
        default_factory=lambda: [
            "It knows only what its training clips show.",
            "Who tries can remove the watermark and the C2PA manifest of its clips; "
            "`make bench-watermark` says what the watermark withstands.",
        ],
        description="what a user must know before relying on the model",
    )
    registry: RegistryConfig = Field(
        default_factory=LocalConfig,
        description="where else it is published: {kind: local | vertex | kubeflow, ...}, local for nowhere",
    )


def run(
    *,
    dataset: Manifest,
    video_vae: Manifest,
    audio_vae: Manifest,
    latents: Manifest,
    base: Manifest,
    upsampler: Manifest,
    generated: Manifest,
    evaluation: Manifest,
    safety: Manifest,
    config: RegisterConfig,
    context: Context,
) -> Result:
    """Replay the gate on the evidence; where it opens, write the registry entry and the model card.

    Then the model is published in the registry that the configuration names. Where it is the first of its
    name, or better than the version promoted last and worse in nothing, it becomes the default version and
    gets the alias there. Registering equal inputs again gives the same version, in every registry.

    Raises:
        UsageError: evidence is missing, stale or altered, the gate is closed, or the other registry refuses.
    """
    store = context.store
    summary = published(evaluation, "summary", EvaluationSummary, store)
    report = published(safety, "report", SafetyReport, store)
    sign_offs = published(safety, "sign_offs", SignOffs, store)
    parts = {"video_vae": video_vae, "audio_vae": audio_vae, "base": base, "upsampler": upsampler}
    files = _model_files(parts)
    _require_clips_of(files, published(generated, "model", ModelFiles, store))
    bindings = Bindings.of(
        files.digest, generated=generated, evaluation=evaluation, safety=safety, dataset=dataset
    )
    decision = decide(
        report,
        published(safety, "policy", Policy, store),
        summary,
        bindings,
        today=datetime.datetime.now(datetime.UTC).date(),
        approvals=sign_offs.approvals,
        waivers=sign_offs.waivers,
    )
    _require_open(decision, published(safety, "decision", Decision, store))
    if "scores" not in evaluation.tables:
        raise UsageError("not registered: the manifest of stage 'evaluate' holds no table of scores")
    behind = {
        "dataset": dataset,
        "latents": latents,
        **parts,
        "generated": generated,
        "evaluation": evaluation,
        "safety": safety,
    }
    description = ModelDescription(
        name=config.name,
        files=files,
        training={role: manifest.metrics for role, manifest in parts.items()},
        manifests={role: manifest.digest for role, manifest in behind.items()},
        data=_training_data(dataset, store),
        metrics=summary.rows,
        scores=keep_scores(evaluation.tables["scores"], store),
        safety=report.figures,
        decision=decision,
        sign_offs=sign_offs,
        intended_use=config.intended_use,
        limits=config.limits,
        curation=passed_on(dataset, store),
        filters=filter_quality(dataset, store),
        run=_training_run(parts, context),
        marks=_marks(generated, store),
        drawing=published_if_any(generated, "drawing", Drawing, store),
    )
    remote = open_remote(config.registry, store)
    ref, entry = add(
        store,
        description,
        promotion=partial(judge_promotion, description, store=store, seed=context.seed),
        card=partial(model_card, model=description),
        ml_bom=partial(ml_bom, model=description),
    )
    verdict = entry.promotion
    assert verdict is not None
    print(f"registered {entry.reference}")
    print(f"{'promoted' if verdict.promote else 'not promoted'}: {verdict.reason}")
    artifacts = {}
    if remote is not None:
        place = remote.publish(Registration(store, entry))
        if verdict.promote:
            remote.promote(place)
        print(f"published {entry.reference} as {place.uri}")
        if config.registry.kind == "vertex":
            artifacts["vertex_model"] = External(place.uri, {"resourceName": place.resource_name})
    manifest = Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=1,
        files={
            "entry": ref,
            "card": entry.card,
            "promotion": store.put_bytes(verdict.to_bytes(), ".json"),
            **({"ml_bom": entry.ml_bom} if entry.ml_bom else {}),
        },
        metrics={"version": float(entry.version)},
    )
    return Result(manifest, {"model": entry.reference}, artifacts)


def _require_open(replayed: Decision, stored: Decision) -> None:
    reasons = replayed.reasons
    if not stored.approved:
        reasons = stored.reasons or ["the safety evaluation does not approve"]
    elif (stored.report, stored.policy) != (replayed.report, replayed.policy):
        reasons = ["the decision is about another report or policy"]
    if reasons or not replayed.approved:
        raise UsageError(f"not registered: the safety gate is closed: {'; '.join(reasons)}")


def _model_files(parts: dict[str, Manifest]) -> ModelFiles:
    files = {}
    for role, manifest in parts.items():
        for kind in ("weights", "config"):
            if kind not in manifest.files:
                raise UsageError(f"not registered: the manifest of {role} holds no file {kind!r}")
            files[f"{role}_{kind}"] = manifest.files[kind]
    return ModelFiles.model_validate(files)


def _require_clips_of(files: ModelFiles, filmed_with: ModelFiles) -> None:
    other = [name for name in ModelFiles.model_fields if getattr(files, name) != getattr(filmed_with, name)]
    if other:
        raise UsageError(f"not registered: the clips were made with another {', '.join(other)} than this")


def _training_run(parts: dict[str, Manifest], context: Context) -> TrainingRun:
    """How the parts were trained, from their manifests and the last lines of their histories."""
    trained = {}
    for part, manifest in parts.items():
        history = manifest.files.get("history")
        steps = None
        if history is not None:
            lines = context.store.get_bytes(history).decode().splitlines()
            steps = json.loads(lines[-1]).get("step") if lines else None
        events = manifest.files.get("tensorboard")
        trained[part] = TrainedPart(
            steps=steps,
            config=manifest.config_digest,
            history="" if history is None else history.sha256,
            events="" if events is None else events.sha256,
        )
    return TrainingRun(seed=context.seed, code=f"{PRODUCT} {product_version()}", parts=trained)


def _marks(generated: Manifest, store: Store) -> MarkCounts | None:
    """What the evaluated clips carry; None where the manifest names no clips."""
    if "generated" not in generated.tables:
        return None
    clips = store.get_table(generated.tables["generated"], GeneratedClip)
    marks = [clip.mark for clip in clips if clip.mark is not None]
    manifests = [clip.manifest for clip in clips if clip.manifest is not None]
    return MarkCounts(
        clips=len(clips),
        watermarked=len(marks),
        signed=len(manifests),
        key_ids=sorted({mark.key_id for mark in marks}),
        development_key=any(mark.development_key for mark in marks),
        issuers=sorted({manifest.issuer for manifest in manifests}),
        local_certificate=any(manifest.local for manifest in manifests),
    )


def _training_data(dataset: Manifest, store: Store) -> TrainingData:
    if "clips" not in dataset.tables:
        raise UsageError(f"not registered: the manifest of stage {dataset.stage!r} holds no table of clips")
    clips = store.get_table(dataset.tables["clips"], Clip)
    train = [clip for clip in clips if clip.split == "train"]
    licences = {clip.source.source_id: clip.source.licence_id for clip in train}
    sources = Counter(licences.values())
    counts = Counter(clip.source.licence_id for clip in train)
    return TrainingData(
        sources=len(licences),
        train_clips=len(train),
        validation_clips=sum(clip.split == "validation" for clip in clips),
        train_seconds=sum(clip.facts.seconds for clip in train),
        licences=[
            LicenceCount(licence=licence, sources=sources[licence], clips=counts[licence])
            for licence in sorted(counts)
        ],
    )


def model_note(manifest: Manifest, store: Store) -> View:
    """The model card, in Markdown."""
    return View(store.get_bytes(manifest.files["card"]))


VIEWS: Views = {"markdown": model_note}


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
