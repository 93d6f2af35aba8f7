"""Evidence of a small model, good enough to be registered."""

import datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import ClipScore, EvaluationSummary, SeenObject, SummaryRow
from veo_core.publish import Result
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.drawing import Drawing
from veo_core.records.files import FileRef, TableRef
from veo_core.records.generated import ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.registry.register import RegisterConfig, run
from veo_core.safety.bias import audit, uniform
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import (
    Approval,
    AttackFigure,
    Decision,
    Figure,
    Policy,
    SafetyReport,
    SignOffs,
    Waiver,
)
from veo_core.safety.signatures import signed
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.grammar import parse, prompt_suite

FIGURES = ("unsafe_outputs", "red_team_passed", "red_team_outputs", "ordinary_blocked", "unmarked_outputs")
BIAS = audit("colour", ["red", "blue"] * 32, uniform(["red", "blue"]))
TOMORROW = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
PARTS = ("video_vae", "audio_vae", "base", "upsampler")


class Evidence:
    """Manifests of a small model, good enough to be registered, that follows a share `follows` of prompts."""

    def __init__(
        self,
        store: Store,
        *,
        weights: bytes = b"w",
        files: dict[str, dict[str, FileRef]] | None = None,
        follows: float = 0.5,
        tables: dict[str, TableRef] | None = None,
        drawing: Drawing | None = None,
    ) -> None:
        self.store = store
        self.drawing = drawing
        self.follows = follows
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
                row("memorised", "all", 0),
            ],
        )
        self.evaluation = self._evaluation()
        self.report = SafetyReport(
            model=self.generated.files["model"].sha256,
            generated=self.generated.digest,
            evaluation=self.evaluation.digest,
            judge="world-detector-1",
            judge_versions=["1"],
            figures=[figure(name) for name in FIGURES],
            attacks=[attacks("hazard"), attacks("violence")],
            bias=[BIAS],
        )

    def register(
        self,
        name: str = "veo-world",
        registry: dict[str, Any] | None = None,
        intended_use: str = "tests",
        **changes: Any,
    ) -> Result:
        values = {"name": name, "registry": registry or {"kind": "local"}, "intended_use": intended_use}
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

    def measure(self, metric: str, split: str, hits: int) -> None:
        """Change a figure of the evaluation, and bind the report to the new one."""
        changed = row(metric, split, hits)
        rows = [changed if (r.metric, r.split) == (metric, split) else r for r in self.summary.rows]
        self.summary = self.summary.model_copy(update={"rows": rows})
        self.evaluation = self._evaluation()
        self.report = self.report.model_copy(update={"evaluation": self.evaluation.digest})

    def judge(self, **bad: int) -> None:
        """Change figures of the report."""
        figures = [figure(f.name, bad[f.name]) if f.name in bad else f for f in self.report.figures]
        self.report = self.report.model_copy(update={"figures": figures})

    def signed(self, *, role: str = "council", key: Ed25519PrivateKey) -> Approval:
        return signed(Approval(role=role, **self._about(), key="0" * 64, signature=""), key)

    def waived(self, rule: str, *, key: Ed25519PrivateKey, **changes: Any) -> Waiver:
        values = {"owner": "Ada", "reason": "false alarms", "expires": TOMORROW, "key": "0" * 64}
        about = {"rule": rule, **self._about(), "signature": ""}
        return signed(Waiver.model_validate(about | values | changes), key)

    def _about(self) -> dict[str, str]:
        """What signatures are bound to."""
        return {"model": self.generated.files["model"].sha256, "report": sha256_bytes(self.report.to_bytes())}

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
        published = {"model": self.store.put_bytes(ModelFiles.model_validate(files).to_bytes(), ".json")}
        if self.drawing is not None:
            published["drawing"] = self.store.put_bytes(self.drawing.to_bytes(), ".json")
        return Manifest(stage="generate", config_digest="c" * 64, rows=64, files=published)

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
        return Manifest(
            stage="evaluate",
            config_digest="c" * 64,
            tables={"scores": self.store.put_table(_scores(self.follows), ClipScore)},
            files={"summary": self.store.put_bytes(self.summary.to_bytes(), ".json")},
        )


@cache
def _scores(follows: float) -> list[ClipScore]:
    """Scores of 40 clips, of which the first ones show what their prompts say and the others nothing."""
    media = FileRef(path="objects/aa/a.mp4", sha256="a" * 64, bytes=1)
    scores = []
    for number, prompt in enumerate(prompt_suite("seen", 40, 0)):
        wanted = parse(prompt.text)
        assert wanted is not None
        right = number < follows * 40
        names = SeenObject.model_fields
        shown = wanted.objects if right else ()
        seen = [SeenObject(**{name: getattr(item, name) or "" for name in names}) for item in shown]
        pitch = wanted.pitch if right else None
        scores.append(
            ClipScore(
                clip_id="a" * 64,
                group="generated",
                prompt=prompt.text,
                split="seen",
                mode="t2v",
                media=media,
                attributes=score_attributes(wanted, seen, pitch or ""),
                flicker=1.0,
            )
        )
    return scores


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


def attacks(category: str, passed: int = 0, n: int = 16) -> AttackFigure:
    estimate = wilson(passed, n)
    return AttackFigure(
        by="category",
        name=category,
        passed=passed,
        n=n,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )


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
