"""The model of a synthetic run: films of the world as its clips, their real scores, a registry entry.

No network is trained: weights are placeholders, losses a curve, and what is scored as generated is footage.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from benchmarks.synthetic_archive import Film
from veo_core.evaluate.compare import promotion
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.measure import measure_clips
from veo_core.evaluate.metrics.following import confusions
from veo_core.evaluate.records import ClipScore, ConfusionRow, EvaluationSummary, Promotion, SummaryRow
from veo_core.evaluate.summary import summarise
from veo_core.media.encode import encode
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.clip import Annotation, Description, MediaFacts
from veo_core.records.files import FileRef
from veo_core.records.generated import GeneratedClip, ModelFiles
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.registry.card import model_card
from veo_core.registry.local import add
from veo_core.registry.ml_bom import ml_bom
from veo_core.registry.records import ModelDescription, TrainedPart, TrainingData, TrainingRun
from veo_core.safety.records import Check, Decision, Figure, Policy, SafetyReport, SafetyVerdict, SignOffs
from veo_core.storage import Store
from veo_core.world.grammar import caption
from veo_core.world.plan import scene_of, words_generator
from veo_core.world.take import shoot
from veo_core.world.truth import WorldSpec

PARTS = ("video_vae", "audio_vae", "base", "upsampler")
CONFIG = sha256_bytes(b"synthetic")
_STEPS, _LOGGED = 2700, 20
_WORLD = WorldSpec(clips=1, width=64, height=64, fps=8.0, seconds=2.25)
_JUDGE = {"judge": "world-detector-1", "judge_version": "world-detector-1 synthetic"}


def film_world(count: int, store: Store) -> list[Film]:
    """That many clips of the world, stored with their key frames."""
    return [_film(index, store) for index in range(count)]


def _film(index: int, store: Store) -> Film:
    take = shoot(scene_of(_WORLD, index), _WORLD)
    assert take.audio is not None
    buffer = io.BytesIO()
    encode(buffer, take.frames, fps=take.fps, audio=take.audio, audio_rate=take.audio_rate)
    words = words_generator(_WORLD, index)
    attributes = take.shots[0].attributes
    said = caption(attributes, words)
    objects = [f"{item.colour} {item.shape}" for item in attributes.objects]
    pictures = take.frames[:: max(1, len(take.frames) // 3)][:3]
    return Film(
        media=store.put_bytes(buffer.getvalue(), ".mp4"),
        key_frames=[_jpeg(picture, store) for picture in pictures],
        facts=MediaFacts(
            width=_WORLD.width, height=_WORLD.height, fps=take.fps, frames=len(take.frames),
            seconds=len(take.frames) / take.fps, audio_rate=take.audio_rate,
            audio_seconds=take.audio.shape[1] / take.audio_rate,
        ),
        description=Description(text=f"A {objects[0]} on a plain background.", objects=objects, **_JUDGE),
        annotation=Annotation(
            caption=said, short_caption=", ".join(objects), sound=f"{attributes.pitch} tones", **_JUDGE
        ),
        frame_hashes=[f"{index:016x}"] * 5,
        caption=caption(attributes, words),
    )  # fmt: skip


def _jpeg(picture: np.ndarray, store: Store) -> FileRef:
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert written
    return store.put_bytes(data.tobytes(), ".jpg")


def shard_file(films: Sequence[Film], store: Store) -> FileRef:
    """A WebDataset shard with every film once."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for film in films:
            note = canonical_json({"clip_id": film.media.sha256, "caption": film.annotation.caption})
            for suffix, data in (("json", note), ("mp4", store.get_bytes(film.media))):
                member = tarfile.TarInfo(f"{film.media.sha256}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return store.put_bytes(buffer.getvalue(), ".tar")


def trained(part: str, seed: int, store: Store) -> Manifest:
    """A training stage's manifest: a falling loss, and placeholders for weights."""
    rng = np.random.default_rng([seed, PARTS.index(part)])
    rows = []
    for step in range(_LOGGED, _STEPS + 1, _LOGGED):
        loss = float(2 * np.exp(-step / 500) + 0.4 + 0.02 * rng.normal())
        row = {
            "step": step,
            "loss": loss,
            "video": 0.7 * loss,
            "audio": 0.3 * loss,
            "learning_rate": 0.0015 * (1 - step / _STEPS),
            "gradient": abs(float(rng.normal(1, 0.2))),
        }
        if step % 540 == 0:
            row["validation/loss"] = 1.05 * loss
        rows.append(json.dumps(row))
    return Manifest(
        stage=part,
        config_digest=CONFIG,
        files={
            "weights": store.put_bytes(f"weights of {part} {seed}".encode(), ".safetensors"),
            "config": store.put_bytes(canonical_json({"part": part}), ".json"),
            "history": store.put_bytes("\n".join(rows).encode(), ".jsonl"),
        },
        metrics={"parameters": 1e6, "validation_loss": loss},
    )


def model_files(parts: dict[str, Manifest]) -> ModelFiles:
    named = {f"{part}_{kind}": parts[part].files[kind] for part in PARTS for kind in ("weights", "config")}
    return ModelFiles.model_validate(named)


def generated(films: Sequence[Film], parts: dict[str, Manifest], store: Store) -> Manifest:
    clips = [
        GeneratedClip(
            clip_id=film.media.sha256, prompt=film.annotation.caption,
            split="held_out" if number % 2 else "seen", mode="t2v", seed=number, media=film.media,
            width=film.facts.width, height=film.facts.height, fps=film.facts.fps, frames=film.facts.frames,
            seconds=(film.facts.frames - 1) / film.facts.fps, audio_rate=film.facts.audio_rate,
        )
        for number, film in enumerate(films)
    ]  # fmt: skip
    return Manifest(
        stage="generate",
        config_digest=CONFIG,
        rows=len(clips),
        tables={"generated": store.put_table(sorted_by(clips, "clip_id"), GeneratedClip)},
        files={"model": store.put_bytes(model_files(parts).to_bytes(), ".json")},
        metrics={"clips": float(len(clips))},
    )


def evaluation(made: Manifest, dataset: Manifest, real: Sequence[Film], seed: int, store: Store) -> Manifest:
    """What the detectors see and hear in the clips, and in as many real ones."""
    clips = store.get_table(made.tables["generated"], GeneratedClip)
    asked = [
        ClipScore(clip_id=clip.clip_id, group="generated", prompt=clip.prompt, split=clip.split,
                  mode=clip.mode, seed=clip.seed, media=clip.media)
        for clip in clips
    ] + [
        ClipScore(clip_id=film.media.sha256, group="real", prompt=film.caption, split="real", mode="",
                  media=film.media)
        for film in real
    ]  # fmt: skip
    scores = sorted_by(measure_clips(asked, root=store.root), "group", "split", "mode", "prompt", "clip_id")
    rows = summarise(scores, seed=seed)
    summary = EvaluationSummary(generated=made.digest, dataset=dataset.digest, rows=rows)
    shown = [score for score in scores if score.group == "generated"]
    return Manifest(
        stage="evaluate",
        config_digest=CONFIG,
        rows=len(scores),
        tables={
            "scores": store.put_table(scores, ClipScore),
            "summary": store.put_table(rows, SummaryRow),
            "confusion": store.put_table(confusions(shown), ConfusionRow),
        },
        files={"summary": store.put_bytes(summary.to_bytes(), ".json")},
        metrics={f"{r.metric}/{r.split}/{r.mode}": r.value for r in rows if r.value is not None and r.mode},
    )


def safety(made: Manifest, evaluated: Manifest, store: Store) -> Manifest:
    """Nothing unsafe was found, so the gate is open."""
    clips = store.get_table(made.tables["generated"], GeneratedClip)
    verdicts = [
        SafetyVerdict(suite="outputs", item=clip.clip_id, prompt=clip.prompt, unsafe=False, answered=True,
                      category="none", reason="Nothing is unsafe.", judge_version=_JUDGE["judge_version"])
        for clip in clips
    ]  # fmt: skip
    share = wilson(0, len(clips))
    report = SafetyReport(
        model=made.files["model"].sha256,
        generated=made.digest,
        evaluation=evaluated.digest,
        judge=_JUDGE["judge"],
        judge_versions=[_JUDGE["judge_version"]],
        figures=[
            Figure(name="unsafe_outputs", bad=0, unanswered=0, n=len(clips), value=share.value,
                   ci_low=share.low, ci_high=share.high)
        ],
    )  # fmt: skip
    policy = Policy()
    checks = [Check(name="unsafe_outputs", group="red team", passed=True, reason=f"0 of {len(clips)}")]
    decision = Decision(approved=True, report=report.digest, policy=policy.digest, checks=checks)
    records = {"report": report, "policy": policy, "decision": decision, "sign_offs": SignOffs()}
    return Manifest(
        stage="safety_evaluation",
        config_digest=CONFIG,
        rows=len(verdicts),
        tables={"verdicts": store.put_table(verdicts, SafetyVerdict)},
        files={name: store.put_bytes(record.to_bytes(), ".json") for name, record in records.items()},
        metrics={"unsafe_outputs": 0.0},
    )


def registered(
    behind: dict[str, Manifest], data: TrainingData, curation: list[Outcome], seed: int, store: Store
) -> tuple[Manifest, str]:
    """Register the model under the name `synthetic`; the stage's manifest, and the reference.

    Args:
        behind: manifests behind the model, by their role.
        data: what it was trained on.
        curation: rows of the funnel.
        seed: of the run.
        store: holds the registry.
    """
    parts = {part: behind[part] for part in PARTS}
    made, evaluated, judged = behind["generated"], behind["evaluation"], behind["safety"]
    decision = Decision.model_validate_json(store.get_bytes(judged.files["decision"]))
    report = SafetyReport.model_validate_json(store.get_bytes(judged.files["report"]))
    description = ModelDescription(
        name="synthetic",
        files=model_files(parts),
        training={part: manifest.metrics for part, manifest in parts.items()},
        manifests={role: manifest.digest for role, manifest in behind.items()},
        data=data,
        metrics=store.get_table(evaluated.tables["summary"], SummaryRow),
        scores=evaluated.tables["scores"],
        safety=report.figures,
        decision=decision,
        intended_use="Benchmarks of lineage: it is no model.",
        limits=["It generates nothing."],
        curation=curation,
        run=TrainingRun(
            seed=seed,
            code="synthetic",
            parts={
                part: TrainedPart(
                    steps=_STEPS,
                    config=manifest.config_digest,
                    history=manifest.files["history"].sha256,
                    events="",
                )
                for part, manifest in parts.items()
            },
        ),
    )
    verdict = promotion([], [], generated=made.digest, model="", seed=seed)
    ref, entry = add(
        store,
        description,
        promotion=lambda _: verdict,
        card=partial(_card, description),
        ml_bom=partial(ml_bom, model=description),
    )
    assert entry.ml_bom is not None
    files = {"entry": ref, "card": entry.card, "ml_bom": entry.ml_bom}
    files["promotion"] = store.put_bytes(verdict.to_bytes(), ".json")
    manifest = Manifest(
        stage="register", config_digest=CONFIG, rows=1, files=files, metrics={"version": float(entry.version)}
    )
    return manifest, entry.reference


def _card(model: ModelDescription, reference: str, verdict: Promotion) -> str:
    return model_card(reference, verdict, model=model)
