"""A forgotten source is in nothing that the explorer kept or wrote."""

from shown import Api, library_of

from veo_core.cli.main import main
from veo_core.storage import Store

from curated_run import CuratedRun  # isort: skip


def test_forgotten_source_is_in_no_index_and_no_report(tmp_path):
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs").write()
    places = ["--runs", str(run.runs), "--root", run.store.root]
    assert main(["report", *places]) == 0
    Api(library_of(run.runs, store=run.store)).get("/api/runs/run-1/clips", {})
    report, cache = run.folder / "report.html", run.folder / "explorer"
    target = run.kept[3]
    texts = [target.source.name, f'{target.source.author}"', target.media.sha256]
    secrets = [text.encode() for text in texts]
    assert all(secret in report.read_bytes() for secret in secrets)
    assert any(secrets[0] in path.read_bytes() for path in cache.iterdir())
    assert main(["forget", target.source.source_id, "--yes", "--why", "asked", *places]) == 0
    for path in (path for path in run.folder.rglob("*") if path.is_file()):
        assert not any(secret in path.read_bytes() for secret in secrets), path
    assert report.is_file()
