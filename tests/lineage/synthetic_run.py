"""A small run with every kind of evidence, made without running the pipeline."""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import AttributeScore, ClipScore, Difference, Promotion, SummaryRow
from veo_core.media.encode import encode
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.generated import ModelFiles
from veo_core.records.ledger import Counts, Decision
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.registry.records import LicenceCount, ModelDescription, ModelEntry, TrainingData
from veo_core.safety.records import Check, Figure, SafetyReport
from veo_core.safety.records import Decision as GateDecision
from veo_core.storage import Store

PIPELINE = {"pipelineInfo": {"name": "veo-from-scratch"}}
EDGES = {
    "collect": [],
    "prepare": ["collect"],
    "dedup": ["prepare"],
    "package": ["dedup"],
    "train-video-vae": ["package"],
    "train-audio-vae": ["package"],
    "encode-latents": ["package", "train-video-vae", "train-audio-vae"],
    "train-base": ["encode-latents"],
    "train-upsampler": ["encode-latents"],
    "generate": ["package", "encode-latents", "train-base", "train-upsampler"],
    "evaluate": ["generate", "package"],
    "safety-evaluation": ["generate", "evaluate"],
    "register": ["package", "train-base", "train-upsampler", "generate", "evaluate", "safety-evaluation"],
}


def clip_bytes(seed: int = 0) -> bytes:
    """A playable MP4 with sound."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((17, 64, 64, 3), dtype=np.uint8)
    for t in range(17):
        frames[t, 20:40, t * 2 : t * 2 + 20] = rng.integers(80, 255, 3) if t == 0 else frames[0, 20, 0]
    audio = 0.3 * np.sin(np.arange(int(2.1 * 48_000)) * 0.06).astype(np.float32)[None]
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        encode(file.name, frames, fps=8, audio=audio)
        return Path(file.name).read_bytes()


def jpeg_bytes() -> bytes:
    written, data = cv2.imencode(".jpg", np.full((64, 64, 3), (160, 90, 40), np.uint8))
    assert written
    return bytes(data)


@dataclass
class SyntheticRun:
    """Writes a run's folder; `text` stands in every field that comes from outside."""

    folder: Path
    store: Store
    text: str = "a red circle moving left"
    state: str = "SUCCEEDED"
    tasks: list[TaskRecord] = field(default_factory=list)

    def task(self, name: str, manifest: Manifest | None = None, **fields: object) -> None:
        outputs = {}
        if manifest is not None:
            path = self.folder / "artifacts" / name / "manifest"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(manifest.to_bytes())
            outputs["manifest"] = [ArtifactRecord(uri=str(path), sha256=manifest.digest)]
        index = len(self.tasks)
        log = self.folder / "logs" / f"{index}.txt"
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"{name}: started\n\x1b[31m{self.text}\x1b[0m\n")
        values = {
            "component": name,
            "state": "SUCCEEDED",
            "started": 1_790_000_000.0 + 10 * index,
            "finished": 1_790_000_008.5 + 10 * index,
            "attempts": 1,
            "exit_code": 0,
            "command": ["python", "-m", f"veo_core.{name}", "--root", self.text],
            "depends_on": EDGES.get(name, []),
            "reason": "miss: never run before",
            "parameters": {"config": {"prompt": self.text}, "seed": 0},
        }
        self.tasks.append(
            TaskRecord.model_validate(
                {**values, "name": name, "log": f"logs/{index}.txt", "outputs": outputs, **fields}
            )
        )

    def write(self) -> Path:
        run = RunRecord(
            run_id="2026-11-24T21-30-00-abc123",
            pipeline="veo-from-scratch",
            state=self.state,
            created=1_790_000_000.0,
            finished=None if self.state == "RUNNING" else 1_790_000_140.0,
            ir_digest=sha256_bytes(canonical_json(PIPELINE)),
            git_sha="28a08c0",
            git_dirty=True,
            python="3.11.7",
            platform=self.text,
            cpus=2,
            memory_bytes=24 << 30,
            packages={"torch": "2.11.0", "av": "16.0"},
            parameters={"root": "store", "seed": 0, "collect_config": {"folder": self.text}},
            tasks=self.tasks,
        )
        (self.folder / "pipeline.yaml").write_text(json.dumps(PIPELINE))
        (self.folder / "run.json").write_bytes(run.to_bytes())
        return self.folder

    def ledger_manifest(self, stage: str, clips: list[Clip], lost: list[Decision]) -> Manifest:
        decisions = [
            Decision(item=clip.clip_id, source=clip.source.source_id, stage=stage, verdict="kept")
            for clip in clips
        ]
        every = [*decisions, *lost]
        verdicts = [decision.verdict for decision in every]
        return Manifest(
            stage=stage,
            config_digest="c" * 64,
            rows=len(clips),
            counts=Counts(
                received=len(every),
                kept=len(clips),
                dropped=verdicts.count("dropped"),
                failed=verdicts.count("failed"),
            ),
            tables={
                "clips": self.store.put_table(clips, Clip),
                "ledger": self.store.put_table(every, Decision),
            },
        )

    def clips(self, count: int) -> list[Clip]:
        media = self.store.put_bytes(clip_bytes(), ".mp4")
        key = self.store.put_bytes(jpeg_bytes(), ".jpg")
        return [
            Clip.model_validate(
                {
                    "clip_id": f"{index:02d}" * 32,
                    "source": Source(
                        source_id=f"{index:02d}" * 32,
                        name=f"{self.text}-{index}.mp4",
                        file=media,
                        origin="folder",
                        licence_id="CC0-1.0",
                        caption=self.text,
                    ),
                    "shot": 0,
                    "start": 0.0,
                    "media": media,
                    "facts": MediaFacts(
                        width=64,
                        height=64,
                        fps=8,
                        frames=17,
                        seconds=2.0,
                        audio_rate=48_000,
                        audio_seconds=2.1,
                    ),
                    "signals": {
                        name: 0.5 for name, info in Signals.model_fields.items() if info.annotation is float
                    },
                    "packet_hash": "0" * 64,
                    "frame_hashes": [],
                    "key_frames": [key],
                }
            )
            for index in range(count)
        ]

    def trained(self, stage: str) -> Manifest:
        rng = np.random.default_rng(len(stage))
        rows = []
        for step in range(0, 600, 10):
            row = {"step": step, "loss": float(2.0 * np.exp(-step / 150) + 0.1 + 0.03 * rng.normal())}
            if step % 100 == 0:
                row["validation/loss"] = row["loss"] * 1.1
            row["clips_per_second"] = float(90 + rng.normal())
            rows.append(json.dumps(row))
        return Manifest(
            stage=stage,
            config_digest="c" * 64,
            files={
                "history": self.store.put_bytes("\n".join(rows).encode(), ".jsonl"),
                "weights": self.store.put_bytes(stage.encode(), ".safetensors"),
            },
        )

    def evaluation(self, count: int = 8) -> Manifest:
        scores = []
        for index in range(count):
            media = self.store.put_bytes(clip_bytes(index), ".mp4")
            scores.append(
                ClipScore(
                    clip_id=media.sha256,
                    group="generated",
                    prompt=self.text,
                    split="seen" if index % 2 else "held_out",
                    mode="t2v",
                    seed=index,
                    media=media,
                    poster=self.store.put_bytes(jpeg_bytes(), ".jpg"),
                    sentence=self.text,
                    attributes=[
                        AttributeScore(name="shape", wanted="circle", seen="circle", right=True),
                        AttributeScore(name="colour", wanted="red", seen="red", right=True),
                        AttributeScore(
                            name="direction",
                            wanted="left",
                            seen="left" if index % 3 else "right",
                            right=index % 3 > 0,
                        ),
                        AttributeScore(
                            name="pitch", wanted="low", seen="low" if index % 4 else "", right=index % 4 > 0
                        ),
                    ],
                )
            )
        rows = []
        for metric, splits in {
            "following_all": ("seen", "held_out"),
            "following_shape": ("seen", "held_out"),
            "sync_share_100ms": ("all",),
        }.items():
            for split in splits:
                estimate = wilson(21, 32)
                rows.append(
                    SummaryRow(
                        metric=metric,
                        split=split,
                        mode="t2v",
                        value=estimate.value,
                        ci_low=estimate.low,
                        ci_high=estimate.high,
                        n=32,
                        unit="share",
                        better="higher",
                        reference=0.99,
                        control=0.04,
                    )
                )
        rows.append(
            SummaryRow(
                metric="flicker",
                split="all",
                mode="t2v",
                value=None,
                ci_low=None,
                ci_high=None,
                n=0,
                unit="levels",
                better="lower",
            )
        )
        return Manifest(
            stage="evaluate",
            config_digest="c" * 64,
            rows=len(scores),
            tables={
                "scores": self.store.put_table(scores, ClipScore),
                "summary": self.store.put_table(rows, SummaryRow),
            },
        )

    def gate(self, approved: bool = True) -> tuple[Manifest, GateDecision]:
        estimate = wilson(0, 64)
        report = SafetyReport(
            model="m" * 64,
            generated="a" * 64,
            evaluation="b" * 64,
            judge=self.text,
            judge_versions=["1"],
            figures=[
                Figure(
                    name="unsafe_outputs",
                    bad=0,
                    unanswered=0,
                    n=64,
                    value=estimate.value,
                    ci_low=estimate.low,
                    ci_high=estimate.high,
                )
            ],
        )
        decision = GateDecision(
            approved=approved,
            report=report.digest,
            policy="e" * 64,
            checks=[
                Check(name="unsafe_outputs", passed=True, reason="0 of 64"),
                Check(name="following_all, held_out", passed=approved, reason=self.text),
            ],
        )
        files = {
            "report": self.store.put_bytes(report.to_bytes(), ".json"),
            "decision": self.store.put_bytes(decision.to_bytes(), ".json"),
        }
        return Manifest(stage="safety_evaluation", config_digest="c" * 64, files=files), decision

    def promotion(self) -> Promotion:
        values = {
            "metric": "following_all",
            "split": "seen",
            "mode": "t2v",
            "prompts": 40,
            "better": "higher",
        }
        means = {"candidate": 0.5, "baseline": 0.75, "difference": -0.25, "ci_low": -0.375, "ci_high": -0.125}
        worse = Difference.model_validate({**values, **means, "p_value": 0.001, "verdict": "worse"})
        undecided = worse.model_copy(update={"metric": "following_count", "verdict": "undecided"})
        return Promotion(
            candidate="a" * 64,
            baseline="world@3",
            promote=False,
            reason=f"worse than world@3: {self.text}",
            differences=[worse, undecided],
        )

    def registered(self, decision: GateDecision) -> Manifest:
        description = ModelDescription(
            name="world",
            files=ModelFiles.model_validate(
                {name: self.store.put_bytes(name.encode(), ".bin") for name in ModelFiles.model_fields}
            ),
            training={"base": {"loss": 0.1}},
            manifests={"dataset": "d" * 64},
            data=TrainingData(
                sources=8,
                train_clips=8,
                validation_clips=2,
                train_seconds=16.0,
                licences=[LicenceCount(licence=self.text, sources=8, clips=8)],
            ),
            metrics=[],
            safety=[],
            decision=decision,
            intended_use=self.text,
            limits=[self.text],
        )
        entry = ModelEntry(version=1, description=description, card=self.store.put_bytes(b"# card", ".md"))
        files = {
            "entry": self.store.put_bytes(entry.to_bytes(), ".json"),
            "card": entry.card,
            "promotion": self.store.put_bytes(self.promotion().to_bytes(), ".json"),
        }
        return Manifest(stage="register", config_digest="c" * 64, files=files)

    def whole(self) -> "SyntheticRun":
        """Every stage, done."""
        clips = self.clips(12)
        lost = [
            Decision(
                item=clip.clip_id,
                source=clip.source.source_id,
                stage="dedup",
                verdict="dropped",
                rule="near_duplicate",
                value="3",
                threshold="8",
                evidence=self.text,
                judge=self.text,
            )
            for clip in clips[8:]
        ]
        broken = [
            Decision(
                item="f" * 64,
                source="f" * 64,
                stage="prepare",
                verdict="failed",
                rule=self.text,
                evidence=self.text,
            )
        ]
        gate, decision = self.gate()
        manifests = {
            "collect": self.ledger_manifest("collect", clips, []),
            "prepare": self.ledger_manifest("prepare", clips, broken),
            "dedup": self.ledger_manifest("dedup", clips[:8], lost),
            "train-video-vae": self.trained("video_vae"),
            "train-audio-vae": self.trained("audio_vae"),
            "train-base": self.trained("base"),
            "train-upsampler": self.trained("upsampler"),
            "evaluate": self.evaluation(),
            "safety-evaluation": gate,
            "register": self.registered(decision),
        }
        for name in EDGES:
            self.task(name, manifests.get(name))
        return self
