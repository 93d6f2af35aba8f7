"""Collecting from buckets, over the protocols of S3 and Google Cloud Storage."""

import json

import fsspec
import pytest
import s3fs
from collecting import ALLOWED, collect

from veo_core.cli.footage import footage_section
from veo_core.errors import UsageError
from veo_core.storage import Store


class Bucket:
    """A prefix that a test fills."""

    def __init__(self, place: str) -> None:
        self.place = f"{place}/footage"
        self._fs, self._base = fsspec.core.url_to_fs(self.place, use_listings_cache=False)

    def put(self, name: str, data: bytes, sidecar: dict | bytes | None = None) -> None:
        self._fs.pipe_file(f"{self._base}/{name}", data)
        if sidecar is not None:
            text = sidecar if isinstance(sidecar, bytes) else json.dumps(sidecar).encode()
            self._fs.pipe_file(f"{self._base}/{name.rsplit('.', 1)[0]}.json", text)


@pytest.fixture
def footage(bucket) -> Bucket:
    return Bucket(bucket)


def test_objects_come_with_what_their_sidecars_say(store, footage, clip):
    footage.put("deep/er/a.mp4", clip.read_bytes(), ALLOWED | {"transcript": "Hello."})
    footage.put("b.webm", b"damaged", ALLOWED)
    footage.put("notes.txt", b"no video")
    _, sources, _ = collect(store, folder=footage.place)
    named = {source.name: source for source in sources}
    assert set(named) == {"deep/er/a.mp4", "b.webm"}
    source = named["deep/er/a.mp4"]
    assert (source.origin, source.licence_id, source.transcript) == ("bucket", "CC0-1.0", "Hello.")
    assert store.get_bytes(source.file) == clip.read_bytes()
    assert source.file.path.endswith(".mp4")


def test_every_rule_holds_for_objects(store, footage, clip, signer, tmp_path):
    data = clip.read_bytes()
    opt_out = {"label": "cawg.training-mining", "ai_training": "notAllowed"}
    signer.sign(clip, tmp_path / "signed.mp4", **opt_out)
    manifest = signer.sign(clip, tmp_path / "same.mp4", beside=True, **opt_out)
    footage.put("denied.mp4", data, {"ml_training": "denied"})
    footage.put("unknown.mp4", data)
    footage.put("broken.mp4", data, b"{")
    footage.put("large.mp4", data + bytes(1 << 20), ALLOWED)
    footage.put("opted-out.mp4", (tmp_path / "signed.mp4").read_bytes(), ALLOWED)
    footage.put("said-beside.mp4", data, ALLOWED)
    footage.put("said-beside.c2pa", manifest)
    footage.put("good.mp4", data, ALLOWED)
    _, sources, decisions = collect(store, folder=footage.place, max_bytes=1 << 20, workers=2)
    assert {name: (d.verdict, d.rule) for name, d in decisions.items()} == {
        "denied.mp4": ("dropped", "rights"),
        "unknown.mp4": ("dropped", "rights"),
        "broken.mp4": ("failed", "sidecar"),
        "large.mp4": ("dropped", "over_sized"),
        "opted-out.mp4": ("dropped", "c2pa_opt_out"),
        "said-beside.mp4": ("dropped", "c2pa_opt_out"),
        "good.mp4": ("kept", ""),
    }
    assert [source.name for source in sources] == ["good.mp4"]


def test_store_and_footage_may_both_be_buckets(bucket, footage, clip):
    footage.put("a.mp4", clip.read_bytes(), ALLOWED)
    footage.put("b.mp4", clip.read_bytes(), ALLOWED)
    store = Store(f"{bucket}/store")
    first, sources, _ = collect(store, folder=footage.place, workers=2)
    again, _, _ = collect(store, folder=footage.place, key="other")
    assert again == first
    assert len({source.source_id for source in sources}) == 2
    assert store.get_bytes(sources[0].file) == clip.read_bytes()


def test_object_or_sidecar_that_changes_is_taken_in_anew(store, footage, clip):
    footage.put("a.mp4", clip.read_bytes(), ALLOWED)
    _, (before,), _ = collect(store, folder=footage.place)
    footage.put("a.mp4", clip.read_bytes(), ALLOWED | {"author": "Ada"})
    _, (said,), _ = collect(store, folder=footage.place)
    assert (said.author, said.source_id) == ("Ada", before.source_id)
    footage.put("a.mp4", clip.read_bytes() + b"\0\0\0\x08free", ALLOWED)
    _, (after,), _ = collect(store, folder=footage.place)
    assert after.source_id != before.source_id
    assert after.file.sha256 != before.file.sha256


def test_forgotten_objects_stay_out(store, footage, clip):
    footage.put("a.mp4", clip.read_bytes(), ALLOWED)
    _, (source,), _ = collect(store, folder=footage.place)
    store.set_mark(f"forgotten/{source.file.sha256}", b"asked to")
    footage.put("renamed.mp4", clip.read_bytes(), ALLOWED)
    _, sources, decisions = collect(store, folder=footage.place, key="other")
    assert sources == []
    assert {decision.rule for decision in decisions.values()} == {"forgotten"}


def test_prefix_without_video_is_a_usage_error(store, footage):
    with pytest.raises(UsageError, match="holds no video"):
        collect(store, folder=footage.place)
    footage.put("notes.txt", b"no video")
    with pytest.raises(UsageError, match="holds no video"):
        footage_section(footage.place)


def test_prefix_that_may_not_be_listed_is_a_usage_error(store, s3_root, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(UsageError, match="credentials"):
            collect(store, folder=f"{s3_root}/footage")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("protocol", ["s3", "gs"])
def test_bucket_that_does_not_exist_is_a_usage_error(store, s3_root, gcs_root, protocol):
    with pytest.raises(UsageError, match="no-such-bucket"):
        collect(store, folder=f"{protocol}://no-such-bucket-here/footage")


def test_footage_of_a_run_names_the_prefix_and_a_revision_that_changes_with_it(footage, clip):
    footage.put("a.mp4", clip.read_bytes(), ALLOWED)
    first = footage_section(footage.place)
    assert first == footage_section(footage.place)
    assert (first["folder"], first["world"]) == (footage.place, None)
    footage.put("a.mp4", clip.read_bytes(), ALLOWED | {"author": "Ada"})
    second = footage_section(footage.place)
    footage.put("a.mp4", b"other", ALLOWED | {"author": "Ada"})
    assert len({first["revision"], second["revision"], footage_section(footage.place)["revision"]}) == 3
