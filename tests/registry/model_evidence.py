"""Evidence of a small model, good enough to be registered."""

import datetime
from typing import Any

from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import EvaluationSummary, SummaryRow
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.files import FileRef, TableRef
from veo_core.records.generated import ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.registry.register import RegisterConfig, run
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import Decision, Figure, Policy, SafetyReport, SignOffs
from veo_core.stage import Context, Result
from veo_core.storage import Store

PARTS = ("video_vae", "audio_vae", "base", "upsampler")


class Evidence:
    """Manifests of a small model, good enough to be registered."""

    def __init__(
        self,
        store: Store,
        *,
        weights: bytes = b"w",
        files: dict[str, dict[str, FileRef]] | None = None,
        tables: dict[str, TableRef] | None = None,
    ) -> None:
        self.store = store
        self.context = Context(stage="register", store=store, seed=0, key="k" * 32, workers=1)
        self.policy = Policy()
        self.sign_offs = SignOffs()
        self.parts = {
            part: Manifest(
                stage=part,
                config_digest="c" * 64,
                files=files[part] if files else self._files(part, weights),
                metrics={"loss": 0.25},
            )
            for part in PARTS
        }
        self.dataset = self._dataset(tables or {})
        self.latents = Manifest(stage="encode_latents", config_digest="c" * 64)
        self.generated = self._generated()
        self.summary = EvaluationSummary(
            generated=self.generated.digest,
            dataset=self.dataset.digest,
            rows=[
                row("following_all", "seen", 30),
                row("following_all", "held_out", 24),
                row("sync_share_100ms", "all", 28),
            ],
        )
        self.evaluation = self._evaluation()
        self.report = SafetyReport(
            model=self.generated.files["model"].sha256,
            generated=self.generated.digest,
            evaluation=self.evaluation.digest,
            judge="world-detector-1",
            judge_versions=["1"],
            figures=[figure(name) for name in ("unsafe_outputs", "red_team_passed", "ordinary_blocked")],
        )

    def register(
        self, name: str = "veo-world", registry: dict[str, Any] | None = None, **changes: Any
    ) -> Result:
        values = {"name": name, "registry": registry or {"kind": "local"}}
        config = RegisterConfig.parse(values, where="register")
        return run(**(self.manifests() | changes), config=config, context=self.context)

    def manifests(self) -> dict[str, Manifest]:
        """The stage's inputs."""
        return {
            **self.parts,
            "dataset": self.dataset,
            "latents": self.latents,
            "generated": self.generated,
            "evaluation": self.evaluation,
            "safety": self.safety(),
        }

    def safety(self, decision: Decision | None = None) -> Manifest:
        files = {
            "report": self.store.put_bytes(self.report.to_bytes(), ".json"),
            "policy": self.store.put_bytes(self.policy.to_bytes(), ".json"),
            "sign_offs": self.store.put_bytes(self.sign_offs.to_bytes(), ".json"),
        }
        bindings = Bindings(
            model=self.generated.files["model"].sha256,
            generated=self.generated.digest,
            evaluation=self.evaluation.digest,
            dataset=None,
            summary=self.evaluation.files["summary"].sha256,
            report=files["report"].sha256,
        )
        decision = decision or decide(
            self.report,
            self.policy,
            self.summary,
            bindings,
            today=datetime.datetime.now(datetime.UTC).date(),
            approvals=self.sign_offs.approvals,
            waivers=self.sign_offs.waivers,
        )
        files["decision"] = self.store.put_bytes(decision.to_bytes(), ".json")
        return Manifest(stage="safety_evaluation", config_digest="c" * 64, files=files)

    def _generated(self) -> Manifest:
        files = {
            f"{part}_{kind}": manifest.files[kind]
            for part, manifest in self.parts.items()
            for kind in ("weights", "config")
        }
        model = self.store.put_bytes(ModelFiles.model_validate(files).to_bytes(), ".json")
        return Manifest(stage="generate", config_digest="c" * 64, rows=64, files={"model": model})

    def _files(self, part: str, weights: bytes) -> dict[str, FileRef]:
        return {
            "weights": self.store.put_bytes(part.encode() + weights, ".safetensors"),
            "config": self.store.put_bytes(f'{{"part":"{part}"}}'.encode(), ".json"),
        }

    def _dataset(self, tables: dict[str, TableRef]) -> Manifest:
        clips = [_clip(self.store, index) for index in range(5)]
        return Manifest(
            stage="package",
            config_digest="c" * 64,
            rows=5,
            tables=tables | {"clips": self.store.put_table(clips, Clip)},
        )

    def _evaluation(self) -> Manifest:
        ref = self.store.put_bytes(self.summary.to_bytes(), ".json")
        return Manifest(stage="evaluate", config_digest="c" * 64, files={"summary": ref})


def row(metric: str, split: str, hits: int, n: int = 32) -> SummaryRow:
    estimate = wilson(hits, n)
    return SummaryRow(
        metric=metric,
        split=split,
        mode="t2v",
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=n,
        unit="share",
        better="higher",
    )


def figure(name: str, bad: int = 0, n: int = 64) -> Figure:
    estimate = wilson(bad, n)
    values = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
    return Figure.model_validate({"name": name, "bad": bad, "unanswered": 0, "n": n, **values})


def _clip(store: Store, index: int) -> Clip:
    media = store.put_bytes(f"clip {index}".encode(), ".mp4")
    facts = {"width": 64, "height": 64, "fps": 8, "frames": 17, "seconds": 2.0}
    values = {
        "clip_id": media.sha256,
        "source": Source(
            source_id=media.sha256,
            name=f"{index}.mp4",
            file=media,
            origin="folder",
            licence_id="CC0-1.0" if index else "a | <b>licence</b>",
        ),
        "shot": 0,
        "start": 0.0,
        "media": media,
        "facts": MediaFacts(**facts, audio_rate=48_000, audio_seconds=2.1),
        "signals": {name: 0.5 for name, info in Signals.model_fields.items() if info.annotation is float},
        "packet_hash": "0" * 64,
        "frame_hashes": [],
        "key_frames": [],
        "split": "train" if index < 4 else "validation",
    }
    return Clip.model_validate(values)
