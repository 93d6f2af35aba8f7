"""Marks as evidence and for users: what `read_marks` counts, and what `veo verify-media` prints."""

import json
from pathlib import Path

import pytest
from test_finish import FPS, MODEL, filmed

from veo_core.cli.main import main
from veo_core.generate.finish import Finisher
from veo_core.generate.request import Request
from veo_core.media.encode import encode
from veo_core.provenance.copies import as_it_leaves
from veo_core.provenance.credentials import load_credentials
from veo_core.records.generated import GeneratedClip
from veo_core.storage import Store
from veo_core.watermark.evidence import read_marks


def clip_of(store: Store, seed: int, *, watermark: bool = True, manifest: bool = True) -> GeneratedClip:
    """A clip as the stage `generate` puts it into the store."""
    request = Request(f"clip {seed}", seed=seed)
    finisher = Finisher(MODEL, watermark=watermark, manifest=manifest)
    stored = finisher.put(filmed(seed), request, store, fps=FPS)
    media = store.put_bytes(stored.content, ".mp4")
    return GeneratedClip(
        clip_id=media.sha256,
        prompt=request.prompt,
        split="custom",
        mode="t2v",
        seed=seed,
        media=media,
        width=64,
        height=64,
        fps=FPS,
        frames=17,
        seconds=2.0,
        audio_rate=48_000,
        mark=stored.clip.mark,
        manifest=stored.clip.manifest,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def clips(store) -> list[GeneratedClip]:
    return [clip_of(store, seed) for seed in range(3)]


def test_marks_of_finished_clips_are_found_and_right(store, clips):
    for row, clip in zip(read_marks(clips, store), clips, strict=True):
        assert (row.clip_id, row.problem) == (clip.clip_id, "")
        assert row.found
        assert row.right
        assert row.p_value < 1e-6
        assert (row.model_id, row.expected_model_id) == (0xAB12, 0xAB12)
        assert row.development_key
        assert (row.manifest, row.manifest_right) == ("valid", True)


def test_mark_of_another_clip_is_found_and_not_right(store, clips):
    first, second, _ = clips
    swapped = first.model_copy(update={"media": second.media})
    (row,) = read_marks([swapped], store)
    assert (row.found, row.right) == (True, False)
    assert (row.manifest, row.manifest_right) == ("valid", False)
    assert row.generation_id == second.mark.generation_id


def test_clip_without_marks_has_none(store):
    (row,) = read_marks([clip_of(store, 0, watermark=False, manifest=False)], store)
    assert (row.found, row.right, row.manifest, row.manifest_right) == (False, False, "none", False)
    assert row.p_value > 1e-6
    assert row.expected_model_id is None


def test_unreadable_clip_counts_as_unmarked_and_stops_no_other(store, clips):
    broken = clips[0].model_copy(update={"media": store.put_bytes(b"no video", ".mp4")})
    missing = {"path": "objects/x", "sha256": "0" * 64}
    gone = clips[0].model_copy(update={"media": clips[0].media.model_copy(update=missing)})
    rows = read_marks([broken, gone, clips[1]], store)
    assert [row.right for row in rows] == [False, False, True]
    assert [bool(row.problem) for row in rows] == [True, True, False]


def test_clip_whose_signed_file_is_gone_is_not_replaced_by_the_unsigned_one(store):
    clip = clip_of(store, 7)
    store.remove_object(as_it_leaves(store, clip.media).path)
    (row,) = read_marks([clip], store)
    assert (row.found, row.manifest, bool(row.problem)) == (False, "none", True)


def printed(capsys, *arguments: str) -> str:
    assert main(["verify-media", *arguments]) == 0
    return capsys.readouterr().out


def test_verify_media_tells_watermark_and_manifest(store, clips, tmp_path, capsys):
    path = str(store.local_path(as_it_leaves(store, clips[1].media), tmp_path))
    out = printed(capsys, path)
    assert "model: ab12" in out
    assert "C2PA manifest: valid; nobody that you named vouches for the signer" in out
    assert "made on the spot" in out
    assert "seed 1;" in out
    assert "an unregistered algorithm" in out
    found = json.loads(printed(capsys, path, "--json", "--root", store.root))
    assert found["manifest"]["claim"]["model_digest"] == MODEL.digest
    assert found["watermark"]["payload"]["model_id"] == 0xAB12
    assert found["models"] == []


def test_verify_media_trusts_the_anchor_that_is_given(store, clips, tmp_path, capsys):
    path = str(store.local_path(as_it_leaves(store, clips[1].media), tmp_path))
    chain = load_credentials().chain
    (tmp_path / "anchors.pem").write_bytes(b"-----BEGIN" + chain.split(b"-----BEGIN")[-1])
    assert "C2PA manifest: trusted" in printed(capsys, path, "--anchors", str(tmp_path / "anchors.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    for name, told in (("empty.pem", "holds no PEM certificate"), ("none.pem", "cannot be read")):
        assert main(["verify-media", path, "--anchors", str(tmp_path / name)]) == 2
        assert told in capsys.readouterr().err


def test_verify_media_finds_an_altered_file_and_one_without_anything(store, clips, tmp_path, capsys):
    data = bytearray(store.get_bytes(as_it_leaves(store, clips[1].media)))
    data[data.rindex(b"mdat") + 500] ^= 1
    altered = tmp_path / "altered.mp4"
    altered.write_bytes(data)
    assert "C2PA manifest: invalid" in printed(capsys, str(altered))
    plain = Path(tmp_path / "plain.mp4")
    encode(plain, filmed(0).frames, fps=FPS)
    out = printed(capsys, str(plain))
    assert "watermark: not found" in out
    assert "C2PA manifest: none" in out
