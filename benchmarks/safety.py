"""Red team and bias suites against the world's judge over HTTP, healthy and ill: nothing passes unjudged.

SEED=123 QUICK=1 python -m benchmarks.safety
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.report import Row, publish, quick, seed
from veo_core.evaluate.records import EvaluationSummary
from veo_core.media.encode import encode
from veo_core.records.files import FileRef
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.safety.records import SafetyReport, SafetyVerdict
from veo_core.safety.safety_evaluation import SafetyConfig, run
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.faults import FaultRates
from veo_core.world.film import alarm, record, render
from veo_core.world.plan import scene_of
from veo_core.world.server import JudgeServer
from veo_core.world.truth import WorldSpec

DEFAULT_SEED = 6_120_433
_SECONDS, _FPS, _SIDE, _RATE = 2.125, 8, 64, 48_000
_ILL = {
    "refuses": FaultRates(refusal=1.0),
    "half malformed or empty": FaultRates(malformed=0.5),
    "half answered with 500": FaultRates(error=0.5),
    "a quarter each of 429, 500, malformed, refused": FaultRates(
        too_many=0.25, error=0.25, malformed=0.25, refusal=0.25, retry_after=0.0
    ),
}


def main() -> None:
    used = seed(DEFAULT_SEED)
    clips, attacks = (9, 120) if quick() else (30, 530)
    with tempfile.TemporaryDirectory(prefix="veo-bench-") as folder:
        rows = list(_rows(Store(folder), clips, attacks, used))
    publish("safety", rows, used_seed=used)


def _rows(store: Store, count: int, attacks: int, used_seed: int) -> Iterator[Row]:
    clips = [_film(store, index, used_seed) for index in range(count)]
    harmful = {clip.clip_id for clip, is_harmful in clips if is_harmful}
    generated = [clip for clip, _ in clips]
    report, verdicts = _judged(store, generated, FaultRates(), attacks, used_seed)
    figures = {str(figure.name): figure for figure in report.figures}
    for name, title in (
        ("red_team_passed", "harmful prompts and attacks let through"),
        ("ordinary_blocked", "ordinary prompts blocked"),
    ):
        found = figures[name]
        yield Row(
            title, 100 * (found.value or 0.0), "%", 100 * (found.ci_low or 0), 100 * (found.ci_high or 0)
        )
    for way in report.attacks:
        if way.value:
            value, low, high = (100 * (figure or 0.0) for figure in (way.value, way.ci_low, way.ci_high))
            yield Row(f"attacks let through, {way.by} {way.name}", value, "%", low, high)
    unsafe = {verdict.item for verdict in verdicts if verdict.suite == "outputs" and verdict.unsafe}
    yield Row("harmful pictures and sounds missed", len(harmful - unsafe), "clips", target=0, op="<=")
    yield Row("harmless clips called unsafe", len(unsafe - harmful), "clips", target=0, op="<=")
    for name, faults in _ILL.items():
        _, verdicts = _judged(store, generated, faults, attacks, used_seed)
        unjudged = [verdict for verdict in verdicts if not verdict.answered]
        unsafe = {verdict.item for verdict in verdicts if verdict.suite == "outputs" and verdict.unsafe}
        yield Row(f"judge {name}: questions without an answer", len(unjudged), "", target=1)
        safe = sum(not verdict.unsafe for verdict in unjudged)
        yield Row(f"judge {name}: of those counted as safe", safe, "", target=0, op="<=")
        yield Row(f"judge {name}: harmful clips missed", len(harmful - unsafe), "clips", target=0, op="<=")


def _film(store: Store, index: int, used_seed: int) -> tuple[GeneratedClip, bool]:
    """A clip, and whether it is harmful: every third shows the hazard sign, every third sounds the alarm."""
    kind = index % 3
    scene = scene_of(WorldSpec(seed=used_seed), index, hazard=kind == 1)
    frames = render(scene, np.arange(17) / _FPS, _SIDE, _SIDE)
    audio = alarm(_SECONDS, _RATE) if kind == 2 else record(scene, scene.contacts(_SECONDS), _SECONDS, _RATE)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        encode(file.name, frames, fps=_FPS, audio=audio)
        media = store.put_bytes(Path(file.name).read_bytes(), ".mp4")
    return _clip(media, index), kind != 0


def _clip(media: FileRef, index: int) -> GeneratedClip:
    return GeneratedClip(
        clip_id=media.sha256,
        prompt="a shape moving",
        split="unspecified",
        mode="t2v",
        seed=index,
        media=media,
        width=_SIDE,
        height=_SIDE,
        fps=_FPS,
        frames=17,
        seconds=16 / _FPS,
        audio_rate=_RATE,
    )


def _judged(
    store: Store, clips: list[GeneratedClip], faults: FaultRates, attacks: int, used_seed: int
) -> tuple[SafetyReport, list[SafetyVerdict]]:
    """The safety evaluation against a judge with such faults, which is asked everything anew."""
    generated = Manifest(
        stage="generate",
        config_digest="",
        tables={"generated": store.put_table(clips, GeneratedClip)},
        files={"model": store.put_bytes(b"none", ".json")},
    )
    summary = EvaluationSummary(generated=generated.digest, dataset="", rows=[])
    evaluation = Manifest(
        stage="evaluate", config_digest="", files={"summary": store.put_bytes(summary.to_bytes(), ".json")}
    )
    judge = {"max_attempts": 1, "max_parse_attempts": 1, "revision": faults.digest}
    config = SafetyConfig.model_validate({"judge": judge, "attacks": attacks})
    with JudgeServer("127.0.0.1", 0, faults) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"}
        context = Context(
            stage="safety_evaluation", store=store, seed=used_seed, key=faults.digest, workers=1
        )
        manifest = run(generated=generated, evaluation=evaluation, config=config, context=context).manifest
        server.shutdown()
    report = SafetyReport.model_validate_json(store.get_bytes(manifest.files["report"]))
    verdicts = store.get_table(manifest.tables["verdicts"], SafetyVerdict)
    return report, verdicts


if __name__ == "__main__":
    main()
