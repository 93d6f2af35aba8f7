"""The report's section about near-duplicates."""

from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.lineage.sections.similarity import similarity_section
from veo_core.records.manifest import Manifest
from veo_core.records.run import TaskRecord
from veo_core.records.similarity import BINS, SimilarityReport

REPORT = SimilarityReport(
    motion=[0] * (BINS - 2) + [7, 12],
    cosine=[0] * (BINS - 1) + [19],
    thresholds={"min_motion": 0.85, "grey_motion": 0.75, "min_cosine": 0.55},
    layers={"packets": 4, "hash": 3, "alignment": 2, "judge": 1},
    pairs={"candidates": 19, "copies": 12, "grey": 2, "judged": 1},
)


def evidence(store, tmp_path, files):
    manifest = Manifest(stage="dedup", config_digest="", files=files)
    task = TaskRecord.model_construct(name="dedup")
    return Evidence(tmp_path, store, None, [StageEvidence(task, 0, manifest)])


def test_section_shows_histograms_limits_and_layers(store, tmp_path):
    files = {"similarity.json": store.put_bytes(REPORT.to_bytes(), ".json")}
    section = similarity_section(evidence(store, tmp_path, files))
    assert section.count("<svg") == 2
    assert section.count("<rect") == 3
    assert "copy from 0.85" in section
    assert "10 clips were dropped as copies: 4 by equal packets, 3 by hashes of their pictures" in section


def test_no_dedup_gives_no_section(store, tmp_path):
    assert similarity_section(evidence(store, tmp_path, {})) is None


def test_damaged_file_is_told_in_the_notes(store, tmp_path):
    found = evidence(store, tmp_path, {"similarity.json": store.put_bytes(b"{}", ".json")})
    assert similarity_section(found) is None
    assert "cannot be shown" in found.notes[0]
