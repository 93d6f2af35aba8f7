"""Registration: only approved, fresh and unaltered evidence; equal models share a version."""

from pathlib import Path
from typing import Any

import pytest

from veo_core.errors import UsageError
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import EvaluationSummary, SummaryRow
from veo_core.records.clip import Clip, MediaFacts, Signals, Source
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.registry.local import list_models, load
from veo_core.registry.register import RegisterConfig, run
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import Decision, Figure, Policy, SafetyReport
from veo_core.stage import Context, Result
from veo_core.storage import Store

PARTS = ("video_vae", "audio_vae", "base", "upsampler")


class Evidence:
    """Manifests of a small model, good enough to be registered."""

    def __init__(self, store: Store, *, weights: bytes = b"w") -> None:
        self.store = store
        self.context = Context(stage="register", store=store, seed=0, key="k" * 32, workers=1)
        self.policy = Policy()
        self.parts = {
            part: Manifest(
                stage=part,
                config_digest="c" * 64,
                files={
                    "weights": store.put_bytes(part.encode() + weights, ".safetensors"),
                    "config": store.put_bytes(f'{{"part":"{part}"}}'.encode(), ".json"),
                },
                metrics={"loss": 0.25},
            )
            for part in PARTS
        }
        self.dataset = self._dataset()
        self.latents = Manifest(stage="encode_latents", config_digest="c" * 64)
        self.generated = Manifest(stage="generate", config_digest="c" * 64, rows=64)
        self.summary = EvaluationSummary(
            generated=self.generated.digest,
            dataset=self.dataset.digest,
            rows=[
                _row("following_all", "seen", 30),
                _row("following_all", "held_out", 24),
                _row("sync_share_100ms", "all", 28),
            ],
        )
        self.evaluation = self._evaluation()
        self.report = SafetyReport(
            generated=self.generated.digest,
            evaluation=self.evaluation.digest,
            judge="world-detector-1",
            judge_versions=["1"],
            figures=[_figure(name) for name in ("unsafe_outputs", "red_team_passed", "ordinary_blocked")],
        )

    def register(self, name: str = "veo-world", **changes: Any) -> Result:
        inputs = {
            **self.parts,
            "dataset": self.dataset,
            "latents": self.latents,
            "generated": self.generated,
            "evaluation": self.evaluation,
            "safety": self.safety(),
        }
        return run(**(inputs | changes), config=RegisterConfig(name=name), context=self.context)

    def safety(self, decision: Decision | None = None) -> Manifest:
        files = {
            "report": self.store.put_bytes(self.report.to_bytes(), ".json"),
            "policy": self.store.put_bytes(self.policy.to_bytes(), ".json"),
        }
        bindings = Bindings(
            generated=self.generated.digest,
            evaluation=self.evaluation.digest,
            dataset=None,
            summary=self.evaluation.files["summary"].sha256,
            report=files["report"].sha256,
        )
        decision = decision or decide(self.report, self.policy, self.summary, bindings)
        files["decision"] = self.store.put_bytes(decision.to_bytes(), ".json")
        return Manifest(stage="safety_evaluation", config_digest="c" * 64, files=files)

    def _dataset(self) -> Manifest:
        clips = [_clip(self.store, index) for index in range(5)]
        return Manifest(
            stage="package",
            config_digest="c" * 64,
            rows=5,
            tables={"clips": self.store.put_table(clips, Clip)},
        )

    def _evaluation(self) -> Manifest:
        ref = self.store.put_bytes(self.summary.to_bytes(), ".json")
        return Manifest(stage="evaluate", config_digest="c" * 64, files={"summary": ref})


def _row(metric: str, split: str, hits: int, n: int = 32) -> SummaryRow:
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


def _figure(name: str, bad: int = 0, n: int = 64) -> Figure:
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
        "signature": "",
        "key_frames": [],
        "split": "train" if index < 4 else "validation",
    }
    return Clip.model_validate(values)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(Store(str(tmp_path / "store")))


def test_register_of_an_approved_model_writes_an_entry_that_loads(evidence):
    result = evidence.register()
    assert result.outputs == {"model": "veo-world@1"}
    entry = load(evidence.store, "veo-world@latest")
    assert entry.reference == "veo-world@1"
    assert entry.description.files.base_weights == evidence.parts["base"].files["weights"]
    assert entry.description.manifests["generated"] == evidence.generated.digest
    assert entry.description.metrics == evidence.summary.rows
    assert entry.description.decision.approved
    data = entry.description.data
    assert (data.train_clips, data.validation_clips, data.sources, data.train_seconds) == (4, 1, 4, 8.0)
    assert {item.licence: item.clips for item in data.licences} == {"CC0-1.0": 3, "a | <b>licence</b>": 1}


def test_register_again_gives_the_same_version_and_manifest(evidence):
    first, again = evidence.register(), evidence.register()
    assert first.manifest.to_bytes() == again.manifest.to_bytes()
    assert first.outputs == again.outputs
    assert len(list_models(evidence.store)) == 1


def test_register_of_another_model_gives_the_next_version_of_its_name(evidence):
    evidence.register()
    other = Evidence(evidence.store, weights=b"other")
    assert other.register().outputs == {"model": "veo-world@2"}
    assert other.register("veo-other").outputs == {"model": "veo-other@1"}
    assert evidence.register().outputs == {"model": "veo-world@1"}
    references = [line.reference for line in list_models(evidence.store)]
    assert references == ["veo-world@1", "veo-world@2", "veo-other@1"]
    assert load(evidence.store, "veo-world@latest").reference == "veo-world@2"
    first, second = (load(evidence.store, f"veo-world@{n}").description.files for n in (1, 2))
    assert first.base_weights == evidence.parts["base"].files["weights"]
    assert second.base_weights == other.parts["base"].files["weights"]


def refused(evidence: Evidence, match: str, **changes: Any) -> None:
    with pytest.raises(UsageError, match=match):
        evidence.register(**changes)
    assert list_models(evidence.store) == []


def test_register_refuses_a_model_below_the_policy(evidence):
    evidence.policy = Policy(min_following_held_out=0.9)
    refused(evidence, "following_all, held_out")


def test_register_refuses_an_unsafe_model(evidence):
    figures = [_figure("unsafe_outputs", bad=9), *evidence.report.figures[1:]]
    evidence.report = evidence.report.model_copy(update={"figures": figures})
    refused(evidence, "unsafe_outputs")


def test_register_refuses_a_forged_approval(evidence):
    evidence.policy = Policy(min_following_held_out=0.9)
    forged = Decision(approved=True, report=evidence.report.digest, policy=evidence.policy.digest, checks=[])
    refused(evidence, "safety gate is closed", safety=evidence.safety(forged))


def test_register_refuses_a_decision_about_another_policy(evidence):
    forged = Decision(approved=True, report=evidence.report.digest, policy="0" * 64, checks=[])
    refused(evidence, "another report or policy", safety=evidence.safety(forged))


def test_register_refuses_a_stored_disapproval(evidence):
    closed = Decision(approved=False, report=evidence.report.digest, policy=evidence.policy.digest, checks=[])
    refused(evidence, "does not approve", safety=evidence.safety(closed))


@pytest.mark.parametrize("role", ["generated", "evaluation", "dataset"])
def test_register_refuses_stale_evidence(evidence, role):
    newer = getattr(evidence, role).model_copy(update={"config_digest": "0" * 64})
    refused(evidence, "safety gate is closed", **{role: newer})


@pytest.mark.parametrize("name", ["report", "policy", "decision"])
def test_register_refuses_missing_evidence(evidence, name):
    safety = evidence.safety()
    files = {key: ref for key, ref in safety.files.items() if key != name}
    refused(evidence, f"holds no file '{name}'", safety=safety.model_copy(update={"files": files}))


def test_register_refuses_altered_evidence(evidence, tmp_path):
    safety = evidence.safety()
    path = tmp_path / "store" / safety.files["report"].path
    path.write_bytes(path.read_bytes().replace(b'"bad":0', b'"bad":1'))
    with pytest.raises(UsageError, match="was altered"):
        evidence.register(safety=safety)
    assert list_models(evidence.store) == []


@pytest.mark.parametrize("part", PARTS)
def test_register_refuses_a_part_without_weights(evidence, part):
    bare = evidence.parts[part].model_copy(update={"files": {}})
    refused(evidence, f"{part} holds no file 'weights'", **{part: bare})


def entry_files(evidence: Evidence) -> list[FileRef]:
    entry = load(evidence.store, "veo-world@1")
    files = entry.description.files
    line = list_models(evidence.store)[0]
    return [*(getattr(files, name) for name in type(files).model_fields), entry.card, line.entry]


def test_load_finds_every_altered_and_every_missing_file(evidence, tmp_path):
    evidence.register()
    refs = entry_files(evidence)
    assert len(refs) == 10
    for ref in refs:
        path = tmp_path / "store" / ref.path
        original = path.read_bytes()
        path.write_bytes(bytes([original[0] ^ 1]) + original[1:])
        with pytest.raises(UsageError, match="was altered"):
            load(evidence.store, "veo-world@1")
        path.unlink()
        with pytest.raises(UsageError, match="is missing"):
            load(evidence.store, "veo-world@1")
        path.write_bytes(original)
    assert load(evidence.store, "veo-world@1").reference == "veo-world@1"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("veo-world", "expected NAME@VERSION"),
        ("veo-world@", "expected NAME@VERSION"),
        ("veo-world@0", "expected NAME@VERSION"),
        ("veo-world@2", "versions of veo-world are 1 to 1"),
        ("nobody@1", "there are: veo-world"),
    ],
)
def test_load_of_an_unknown_model_says_what_there_is(evidence, reference, message):
    evidence.register()
    with pytest.raises(UsageError, match=message):
        load(evidence.store, reference)


def test_load_from_an_empty_registry_says_so(evidence):
    with pytest.raises(UsageError, match="there are: none"):
        load(evidence.store, "veo-world@1")


def test_model_card_states_figures_with_intervals_and_shows_hostile_words_as_text(evidence):
    manifest = evidence.register().manifest
    card = evidence.store.get_bytes(manifest.files["card"]).decode()
    assert card.startswith("# veo-world@1\n")
    assert "| following all (share) | held_out t2v | 0.75 | 0.579 to 0.867 | 32 |" in card
    assert "| a \\| &lt;b&gt;licence&lt;/b&gt; | 1 | 1 |" in card
    assert "4 clips (8 s) from 4 sources" in card
    assert evidence.generated.digest in card


@pytest.mark.parametrize("name", ["", "A", "has space", "../up", "a@b", "-x"])
def test_register_config_refuses_names_that_are_no_names(name):
    with pytest.raises(UsageError, match="name"):
        RegisterConfig.parse({"name": name}, where="register")
