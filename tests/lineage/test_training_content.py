"""The public summary of training content: the template's sections, answered from the record or not at all."""

import json
from datetime import UTC, datetime

import jsonschema
import pytest
from exported_run import ExportedRun

from veo_core.curate.origins import Origins
from veo_core.lineage.evidence import gather
from veo_core.lineage.exports.clips import counted_clips
from veo_core.lineage.exports.training_content.footage import Footage
from veo_core.lineage.exports.training_content.known import Known
from veo_core.lineage.exports.training_content.record import TrainingContentSummary
from veo_core.lineage.exports.training_content.sections import sections
from veo_core.lineage.exports.write import write_exports
from veo_core.records.clip import Clip
from veo_core.records.ledger import Outcome
from veo_core.records.run import RunRecord

TEMPLATE = {
    "1": "General information",
    "1.1": "Provider identification",
    "1.2": "Model identification",
    "1.3": "Modalities, overall training data size and other characteristics",
    "2": "List of data sources",
    "2.1": "Publicly available datasets",
    "2.2": "Private non-publicly available datasets obtained from third parties",
    "2.2.1": "Datasets commercially licensed by rightsholders or their representatives",
    "2.2.2": "Private datasets obtained from other third parties",
    "2.3": "Data crawled and scraped from online sources",
    "2.4": "User data",
    "2.5": "Synthetic data",
    "2.6": "Other sources of data",
    "3": "Data processing aspects",
    "3.1": "Respect of reservation of rights from text and data mining exception or limitation",
    "3.2": "Removal of illegal content",
    "3.3": "Other information",
}
"""Sections of the template that the AI Office published on 24 July 2025."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ExportedRun(tmp_path_factory.mktemp("content")).write()


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    write_exports(gather(run.folder, run.store), out, ["training-content"])
    text = (out / "training-content-summary.md").read_text()
    return json.loads((out / "training-content-summary.json").read_text()), text


@pytest.fixture(scope="module")
def training(run):
    clips = run.store.get_table(run.manifests["package"].tables["clips"], Clip)
    return [clip for clip in clips if clip.split == "train"]


def answers(known):
    return {section.number: {a.question: a for a in section.answers} for section in sections(known)}


def known(clips, outcomes=(), **parameters):
    run = RunRecord(
        run_id="r", pipeline="p", state="SUCCEEDED", created=0.0, ir_digest="d",
        parameters={f"{stage}_config": value for stage, value in parameters.items()},
    )  # fmt: skip
    return Known(run=run, model="", footage=Footage.of(clips), outcomes=list(outcomes))


def moved(clips, origin, **changes):
    """Clips as if their sources were of another kind."""
    return [
        clip.model_copy(update={"source": clip.source.model_copy(update={"origin": origin, **changes})})
        for clip in clips
    ]


def test_every_section_of_the_template_is_there_in_both_forms(exported):
    summary, text = exported
    assert {s["number"]: s["title"] for s in summary["sections"]} == TEMPLATE
    places = [text.index(f"# {number}. {title}\n") for number, title in TEMPLATE.items()]
    assert places == sorted(places)
    parents = {number.rpartition(".")[0] for number in TEMPLATE}
    assert all(s["answers"] for s in summary["sections"] if s["number"] not in parents)
    for section in summary["sections"]:
        for answer in section["answers"]:
            assert f"**{answer['question']}**" in text


def test_summary_fits_its_schema_and_another_does_not(exported):
    summary, _ = exported
    schema = TrainingContentSummary.model_json_schema()
    jsonschema.validate(summary, schema)
    answer = summary["sections"][1]["answers"][0]
    for spoilt in ({**answer, "stated": "perhaps"}, {**answer, "guess": 1}):
        changed = json.loads(json.dumps(summary))
        changed["sections"][1]["answers"][0] = spoilt
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, schema)


def test_only_training_clips_are_counted(exported, training):
    summary, _ = exported
    (size,) = [a for s in summary["sections"] for a in s["answers"] if s["number"] == "1.3" and a["rows"]]
    assert size["answer"] == f"{len(training)} training clips, after curation."
    rows = {row["modality"]: row["size"] for row in size["rows"]}
    hours = sum(clip.facts.seconds for clip in training) / 3600
    assert rows["Video"] == f"less than 10,000 hours: {hours:.4g} hours"
    words = sum(len(clip.annotation.caption.split()) for clip in training)
    assert rows["Text"].startswith(f"{len(training)} captions of {words} words")


def test_model_is_named_by_reference_and_digest(exported, run):
    summary, _ = exported
    section = next(s for s in summary["sections"] if s["number"] == "1.2")
    assert section["answers"][0]["answer"] == f"world@1, sha256 {run.entry.description.files.digest}"


def test_what_no_record_tells_is_never_guessed(training):
    found = answers(known(training))
    for number in ("1.1", "2.1", "2.2.1", "2.2.2", "2.4"):
        for answer in found[number].values():
            assert not answer.stated
            assert answer.answer.startswith("not stated")
    (licences,) = found["2.2.1"].values()
    url = "https://creativecommons.org/licenses/by/4.0/"
    assert licences.rows == [{"licence": url, "sources": len(training), "clips": len(training)}]
    measures = found["3.1"]["Measures to respect reservations of rights before and during data collection"]
    assert {row["items"] for row in measures.rows} == {"not on record"}
    (illegal,) = found["3.2"].values()
    assert illegal.answer.count("not on record") == 3


def test_footage_of_the_world_is_said_to_be_rendered_and_from_no_third_party(training):
    found = answers(known(moved(training, "world"), collect={"world": {"seed": 7}}))
    for number in ("2.1", "2.2.1", "2.2.2", "2.3", "2.4"):
        assert {a.answer for a in found[number].values()} <= {"No.", "None."}
    narrative = found["2.6"]["Narrative description of these data sources"].answer
    assert narrative.startswith(f"{len(training)} training clips")
    assert "from a seed (7)" in narrative


def test_mixed_footage_is_not_taken_for_rendered(training):
    found = answers(known([*moved(training[:5], "world"), *training[5:]]))
    assert not found["2.3"]["Were crawlers used by the provider or on its behalf?"].stated
    narrative = found["2.6"]["Narrative description of these data sources"].answer
    assert "5 training clips" in narrative
    assert "supplied in a folder; how they got there is not on record" in narrative


def test_downloaded_footage_names_period_and_the_largest_domains(training):
    clips = []
    for number, clip in enumerate(training):
        file = clip.source.file.model_copy(update={"bytes": 1000 + number})
        when = datetime(2026, 1, 1 + number, tzinfo=UTC).isoformat()
        url = f"https://www.host{number}.example/page"
        clips += moved([clip], "list", source_url=url, file=file, retrieved_at=when)
    found = answers(known(clips))["2.3"]
    crawlers = found["Were crawlers used by the provider or on its behalf?"].answer
    assert f"{len(clips)} training clips come from the addresses of a list" in crawlers
    assert found["Period of data collection"].answer.startswith("2026-01-01")
    rows = found["Summary of the most relevant domain names"].rows
    last = len(clips) - 1
    assert rows[0] == {"domain": f"host{last}.example", "sources": 1, "bytes": 1000 + last}
    assert len(rows) == 10


def test_machine_captions_are_synthetic_text_with_their_writers(training):
    found = answers(known(training))["2.5"]
    rows = found["Models that were used to generate synthetic data"].rows
    written = {"data": "caption", "model": "a red circle", "version": "1", "clips": len(training)}
    assert written in rows


def test_measures_are_counted_from_ledgers_and_configuration(training):
    outcomes = [
        Outcome(stage="collect", verdict="dropped", rule="rights", items=3),
        Outcome(stage="collect", verdict="dropped", rule="c2pa_opt_out", items=2),
        Outcome(stage="collect", verdict="kept", rule="", items=9),
        Outcome(stage="safety_filter", verdict="dropped", rule="unsafe:hate", items=1),
        Outcome(stage="safety_filter", verdict="quarantined", rule="refused", items=1),
    ]
    settings = {
        "collect": {"permissions": ["allowed", "unknown"]},
        "prepare": {"hash_lists": {"files": ["a.txt", "b.txt"]}},
        "safety_filter": {
            "enabled": True, "judge": {"model": "seer"}, "categories": [{"name": "hate", "policy": "drop"}],
        },
    }  # fmt: skip
    found = answers(known(training, outcomes, **settings))
    measures = found["3.1"]["Measures to respect reservations of rights before and during data collection"]
    assert [row["items"] for row in measures.rows] == [3, 2, 0]
    assert "allowed, unknown" in measures.answer
    (illegal,) = found["3.2"].values()
    assert illegal.answer.startswith("2 lists of hashes")
    assert "A judge (seer) looked at every clip" in illegal.answer
    assert illegal.answer.endswith("did not keep: 2.")
    assert illegal.rows == [{"category": "hate", "policy": "drop"}]


def test_pretrained_parts_are_dependencies(training):
    own = {"kind": "own", "path": ""}
    clip = {"kind": "clip", "path": "models/clip"}
    trained = {"train_video_vae": {"codec": own}, "train_audio_vae": {"codec": own}}
    depends = answers(known(training, **trained, encode_latents={"text": clip}))["1.2"]["Model dependencies"]
    assert depends.rows == [{"stage": "encode_latents", "kind": "clip", "path": "models/clip"}]
    none = answers(known(training, **trained, encode_latents={"text": own}))["1.2"]["Model dependencies"]
    assert (none.stated, none.answer[:5]) == (True, "None:")
    assert not answers(known(training, **trained))["1.2"]["Model dependencies"].stated


def test_clips_read_by_column_are_counted_as_whole_records_are(run):
    table = run.manifests["package"].tables["clips"]
    evidence, clips = gather(run.folder, run.store), run.store.get_table(table, Clip)
    assert Footage.of(counted_clips(evidence, table)) == Footage.of(clips)
    assert Origins.of(counted_clips(evidence, table)) == Origins.of(clips)
