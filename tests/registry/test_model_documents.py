"""What a registered model says of itself: its card for people, its bill of materials for tools."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx_schema import problem_of
from model_evidence import PARTS, Evidence

from veo_core.errors import UsageError
from veo_core.evaluate.metrics.catalogue import BY_NAME
from veo_core.evaluate.summary import not_run
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.dataset import FilterQuality
from veo_core.records.generated import ClipManifest, ClipMark, GeneratedClip
from veo_core.records.ledger import Outcome
from veo_core.registry.local import LogLine, list_models, load
from veo_core.registry.lookup import models_with_id
from veo_core.registry.ml_bom import ml_bom
from veo_core.storage import Store


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(Store(str(tmp_path / "store")))


def documents(evidence: Evidence, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Card and bill of materials of the registered model."""
    files = evidence.register(**changes).manifest.files
    card, bom = (evidence.store.get_bytes(files[name]) for name in ("card", "ml_bom"))
    return card.decode(), json.loads(bom)


def generated_clips(evidence: Evidence, count: int, unmarked: int) -> None:
    """Give the evidence a table of clips, the last `unmarked` of which carry nothing."""
    media = evidence.store.put_bytes(b"clip", ".mp4")
    facts = {"width": 64, "height": 64, "fps": 8.0, "frames": 17, "seconds": 2.0, "audio_rate": 48_000}
    mark = ClipMark(model_id=1, generation_id=2, key_id="01234567", development_key=True)
    manifest = ClipManifest(state="valid", issuer="A | <b>studio</b>", local=False)
    clips = [
        GeneratedClip(
            clip_id=media.sha256,
            prompt="p",
            split="seen",
            mode="t2v",
            seed=number,
            media=media,
            **facts,
            mark=None if number >= count - unmarked else mark,
            manifest=None if number >= count - unmarked else manifest,
        )
        for number in range(count)
    ]
    table = evidence.store.put_table(clips, GeneratedClip)
    evidence.generated = evidence.generated.model_copy(update={"tables": {"generated": table}})
    evidence.summary = evidence.summary.model_copy(update={"generated": evidence.generated.digest})
    evidence.evaluation = evidence._evaluation()
    changes = {"generated": evidence.generated.digest, "evaluation": evidence.evaluation.digest}
    evidence.report = evidence.report.model_copy(update=changes)


def test_bill_of_materials_is_valid_cyclonedx(evidence):
    generated_clips(evidence, count=4, unmarked=1)
    _, bom = documents(evidence)
    problem = problem_of(json.dumps(bom))
    assert problem is None, problem


def test_validator_finds_what_the_schema_forbids(evidence):
    _, bom = documents(evidence)
    bom["metadata"]["component"]["modelCard"]["modelParameters"]["approach"]["type"] = "magic"
    assert problem_of(json.dumps(bom)) is not None


def test_validator_checks_the_formats_of_references_and_dates(evidence):
    _, bom = documents(evidence)
    right, spaced = (
        {"externalReferences": [{"type": "website", "url": url}]} for url in ("gs://a/b", "https://a b")
    )
    assert problem_of(json.dumps(bom | right)) is None
    undated = {"metadata": bom["metadata"] | {"timestamp": "yesterday"}}
    assert all(problem_of(json.dumps(bom | wrong)) is not None for wrong in (spaced, undated))


def test_bill_of_materials_names_every_file_by_its_digest(evidence):
    _, bom = documents(evidence)
    hashes = {
        item["hashes"][0]["content"]
        for component in bom["components"]
        for item in component.get("components", [])
    }
    files = load(evidence.store, "veo-world@1").description.files
    assert hashes == {getattr(files, name).sha256 for name in type(files).model_fields}
    root = bom["metadata"]["component"]
    assert (root["name"], root["version"]) == ("veo-world", "1")
    measured = root["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    (held_out,) = [row for row in measured if row["slice"] == "held_out t2v"]
    assert held_out["value"] == "0.75"
    row = evidence.summary.rows[1]
    assert row.split == "held_out"
    interval = {"lowerBound": f"{row.ci_low:.6g}", "upperBound": f"{row.ci_high:.6g}"}
    assert held_out["confidenceInterval"] == interval
    dataset = next(item for item in bom["components"] if item["type"] == "data")
    licences = {item["license"]["name"] for item in dataset["licenses"]}
    assert licences == {"CC0-1.0", "a | <b>licence</b>"}
    (depends,) = [item["dependsOn"] for item in bom["dependencies"] if item["ref"] == "veo-world@1"]
    assert depends == ["dataset", *PARTS]


def test_equal_models_have_equal_documents(evidence):
    description = load(evidence.store, str(evidence.register().outputs["model"])).description
    assert ml_bom("veo-world@1", description) == ml_bom("veo-world@1", description)
    assert ml_bom("veo-world@1", description) != ml_bom("veo-world@2", description)


def test_card_tells_what_clips_carry_and_with_whose_keys(evidence):
    generated_clips(evidence, count=4, unmarked=1)
    card, _ = documents(evidence)
    assert "Of 4 evaluated clips, 3 carry a watermark and 3 a C2PA manifest" in card
    assert "Keys of the watermark: 01234567. One of them is the published development key." in card
    assert "Signed by: A \\| &lt;b&gt;studio&lt;/b&gt;." in card
    digest = load(evidence.store, "veo-world@1").description.files.digest
    assert f"carry the model id `{digest[:4]}`" in card


def test_card_tells_seed_steps_and_every_rule_of_the_gate(evidence):
    history = evidence.store.put_bytes(b'{"step":20}\n{"step":2700}\n', ".jsonl")
    base = evidence.parts["base"]
    evidence.parts["base"] = base.model_copy(update={"files": {**base.files, "history": history}})
    card, _ = documents(evidence)
    assert "Seed 0; code veo-from-scratch" in card
    assert f"| base | 2700 | {'c' * 12} | {history.sha256[:12]} |  |" in card
    decision = load(evidence.store, "veo-world@1").description.decision
    for check in decision.checks:
        assert f"| {check.name} | yes | " in card


def test_documents_tell_what_curation_decided_and_how_well_its_filters_work(tmp_path):
    store = Store(str(tmp_path / "store"))
    measured = FilterQuality(filter="dedup", precision=0.995, recall=0.98, n=1600, evidence="bench 1")
    decided = [
        Outcome(stage="collect", verdict="kept", rule="", items=9),
        Outcome(stage="dedup", verdict="kept", rule="", items=5),
        Outcome(stage="dedup", verdict="dropped", rule="near|copy", items=4),
    ]
    tables = {
        "funnel": store.put_table(decided, Outcome),
        "filter_quality": store.put_table([measured], FilterQuality),
    }
    card, bom = documents(Evidence(store, tables=tables))
    assert "| collect | 9 | 9 |  |" in card
    assert "| dedup | 9 | 5 | 4 dropped: near\\|copy |" in card
    assert "| dedup | 0.995 | 0.980 | 1600 | bench 1 |" in card
    dataset = next(item for item in bom["components"] if item["type"] == "data")
    properties = {item["name"].partition(":")[2]: item["value"] for item in dataset["properties"]}
    assert properties["dedup: dropped: near|copy"] == "4"
    assert properties["filter dedup"] == "precision 0.995, recall 0.980, 1600 clips"
    assert problem_of(json.dumps(bom)) is None


def test_card_lists_metrics_that_were_not_run_with_what_they_need(evidence):
    left_out = not_run(BY_NAME["fvd"], "needs weights")
    evidence.summary = evidence.summary.model_copy(update={"rows": [*evidence.summary.rows, left_out]})
    evidence.evaluation = evidence._evaluation()
    evidence.report = evidence.report.model_copy(update={"evaluation": evidence.evaluation.digest})
    card, _ = documents(evidence)
    assert "- fvd: not run: needs weights" in card
    assert "| fvd" not in card


def test_card_says_what_was_not_measured(evidence):
    card, _ = documents(evidence)
    assert "Precision and recall of the filters were not measured on this footage" in card
    assert "Whether the evaluated clips carried them was not recorded." in card


def test_altered_bill_of_materials_is_found(evidence, tmp_path):
    ref = evidence.register().manifest.files["ml_bom"]
    path = tmp_path / "store" / ref.path
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UsageError, match="was altered"):
        load(evidence.store, "veo-world@1")


def test_models_are_found_by_the_id_of_their_watermark(evidence):
    evidence.register()
    Evidence(evidence.store, weights=b"other").register("veo-other")
    for reference in ("veo-world@1", "veo-other@1"):
        digest = load(evidence.store, reference).description.files.digest
        assert models_with_id(evidence.store, int(digest[:4], 16)) == [reference]
    taken = {load(evidence.store, r).description.files.digest[:4] for r in ("veo-world@1", "veo-other@1")}
    free = next(number for number in range(3) if f"{number:04x}" not in taken)
    assert models_with_id(evidence.store, free) == []


def test_entry_of_an_earlier_version_loads(evidence):
    """Records gain fields; what was registered before them stays registered."""
    evidence.register()
    (line,) = list_models(evidence.store)
    entry = json.loads(evidence.store.get_bytes(line.entry))
    for name in ("filters", "run", "marks"):
        del entry["description"][name]
    del entry["ml_bom"]
    older = LogLine(
        name=line.name,
        version=1,
        content=sha256_bytes(canonical_json(entry["description"])),
        entry=evidence.store.put_bytes(canonical_json(entry), ".json"),
    )
    evidence.store.set_mark("registry/00000001", older.to_bytes())
    assert load(evidence.store, "veo-world@1").description.run is None
    entry["description"]["intended_use"] = "anything"
    forged = older.model_copy(update={"entry": evidence.store.put_bytes(canonical_json(entry), ".json")})
    evidence.store.set_mark("registry/00000001", forged.to_bytes())
    with pytest.raises(UsageError, match="disagree"):
        load(evidence.store, "veo-world@1")
