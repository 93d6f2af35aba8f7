"""`veo why` and `veo forget` on a store that the real stages filled."""

import io
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lineage"))

from curation import Curation, configs, context
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.curate import collect
from veo_core.lineage.forget import Forgetting, Request
from veo_core.media.signature import Signature
from veo_core.records.clip import ClipSignature, NearPair
from veo_core.records.ledger import Decision
from veo_core.stage import interface_of
from veo_core.storage import Store


@pytest.fixture
def place(curated, tmp_path) -> Curation:
    """A copy of the curated store, with a run's folder."""
    shutil.copytree(curated.store.root, tmp_path / "store")
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    copy = Curation(Store(str(tmp_path / "store")), curated.spec, curated.manifests)
    run = SyntheticRun(folder, copy.store)
    for stage, manifest in copy.manifests.items():
        run.task(stage, manifest)
    run.write()
    return copy


def runs_of(place: Curation) -> Path:
    return Path(place.store.root).parent / "runs"


def near_duplicates(place: Curation) -> list[Decision]:
    return [decision for decision in place.ledger("dedup") if decision.rule == "near_duplicate"]


def test_why_names_partner_and_both_scores_of_a_real_near_duplicate(place, capsys):
    decision = near_duplicates(place)[0]
    names = {clip.clip_id: clip.source.name for clip in place.clips("prepare")}
    places = ["--root", place.store.root, "--runs", str(runs_of(place))]
    assert main(["why", decision.item, *places]) == 0
    told = capsys.readouterr().out
    assert f"compared with {decision.partner} ({names[decision.partner]})" in told
    for score in ("embedding", "motion"):
        assert f"{score} {decision.scores[score]:.4g}" in told
    assert main(["why", decision.partner, *places]) == 0
    assert f"its copy       {decision.item} ({names[decision.item]})" in capsys.readouterr().out


def test_no_near_pair_crosses_the_splits(curated):
    split = {clip.source.source_id: clip.split for clip in curated.clips("package")}
    pairs = curated.store.get_table(curated.manifests["package"].tables["near_pairs"], NearPair)
    both = [p for p in pairs if p.first_source in split and p.second_source in split]
    assert all(split[pair.first_source] == split[pair.second_source] for pair in both)


def thumbnails(place: Curation, clip_id: str) -> bytes:
    """The pixels of a clip's signature, which dedup works on."""
    rows = place.store.stream_table(place.manifests["prepare"].tables["signatures"], ClipSignature)
    (row,) = [row for row in rows if row.clip_id == clip_id]
    return Signature.from_text(row.signature).pictures.tobytes()


def test_nothing_of_a_source_is_left_in_a_real_store(place):
    copied = {decision.partner for decision in place.ledger("dedup")}
    clip = next(c for c in place.clips("package") if c.split == "train" and c.clip_id not in copied)
    secrets = {
        "footage": place.store.get_bytes(clip.source.file),
        "clip": place.store.get_bytes(clip.media),
        "picture": place.store.get_bytes(clip.key_frames[-1]),
        "digest": clip.media.sha256.encode(),
        "name": clip.source.name.encode(),
        "thumbnails": thumbnails(place, clip.clip_id),
    }
    assert any(
        secrets["thumbnails"] in path.read_bytes() for path in Path(place.store.root).glob("objects/*/*.bin")
    )
    before = len(list(Path(place.store.root).glob("marks/judge/*/*")))
    request = Request(when="2026-11-25T00:00:00Z")
    Forgetting.of(clip.source.name, request, runs=runs_of(place), store=place.store).execute(lambda stale: 0)
    found = set()
    for path in Path(place.store.root).parent.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if data.startswith(b"PAR1"):
            data += repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
        found |= {name for name, secret in secrets.items() if secret in data}
    assert not found
    after = len(list(Path(place.store.root).glob("marks/judge/*/*")))
    assert 4 <= before - after < before / 4
    chosen = configs(place.spec, None)["collect"]
    again = collect.run(
        config=interface_of(collect.run).config.parse(chosen, where="collect"),
        context=context(place.store, "collect"),
    )
    ledger = place.store.get_table(again.tables["ledger"], Decision)
    (own,) = [decision for decision in ledger if decision.item == clip.source.source_id]
    assert (own.verdict, own.rule) == ("dropped", "forgotten")
    assert again.counts.kept == place.manifests["collect"].counts.kept - 1
