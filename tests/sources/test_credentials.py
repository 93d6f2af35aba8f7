"""C2PA manifests, signed for real."""

import pytest

from veo_core.errors import ItemError
from veo_core.media.decode import decode
from veo_core.sources.credentials import manifest_bytes
from veo_core.sources.inspection import inspect_files
from veo_core.sources.items import Media


def inspect(path, manifest=None):
    media = Media(path, ".mp4", manifest=manifest)
    (outcome,) = inspect_files([media], probe=False, max_bytes=1 << 30, timeout_seconds=30)
    return outcome


@pytest.mark.parametrize("label", ["c2pa.training-mining", "cawg.training-mining"])
@pytest.mark.parametrize("entry", ["ai_generative_training", "ai_training", "data_mining", "ai_inference"])
def test_opt_out_is_read_from_either_assertion_and_every_entry(clip, signer, tmp_path, label, entry):
    signer.sign(clip, tmp_path / "signed.mp4", label, **{entry: "notAllowed"})
    claims = inspect(tmp_path / "signed.mp4")
    assert claims.opt_out == f"{label}: {label.split('.')[0]}.{entry}=notAllowed"


def test_use_under_conditions_that_nobody_checks_counts_as_an_opt_out(clip, signer, tmp_path):
    signer.sign(clip, tmp_path / "signed.mp4", "cawg.training-mining", ai_training="constrained")
    assert "constrained" in inspect(tmp_path / "signed.mp4").opt_out


@pytest.mark.parametrize("terms", [{}, {"ai_training": "allowed", "data_mining": "allowed"}])
def test_manifest_that_forbids_nothing_passes_with_its_claim(clip, signer, tmp_path, terms):
    path = tmp_path / "signed.mp4"
    signer.sign(clip, path, "c2pa.training-mining" if terms else "", **terms)
    claims = inspect(path)
    assert claims.opt_out == ""
    assert (claims.credentials.generator, claims.credentials.issuer) == ("test camera", "Camera Test")
    assert claims.credentials.state == "Valid"
    assert claims.credentials.claim.startswith("urn:c2pa:")
    assert len(claims.credentials.sha256) == 64
    assert len(decode(path).frames) == len(decode(clip).frames)


def test_opt_out_counts_though_the_file_was_altered_after_it_was_signed(clip, signer, tmp_path):
    path = tmp_path / "signed.mp4"
    signer.sign(clip, path, "c2pa.training-mining", ai_training="notAllowed")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    claims = inspect(path)
    assert "notAllowed" in claims.opt_out
    assert claims.credentials.state == "Invalid"


def test_opt_out_of_an_earlier_manifest_counts_after_the_file_is_signed_again(clip, signer, tmp_path):
    signer.sign(clip, tmp_path / "first.mp4", "c2pa.training-mining", ai_training="notAllowed")
    signer.sign(tmp_path / "first.mp4", tmp_path / "second.mp4", parent=tmp_path / "first.mp4")
    assert "notAllowed" in inspect(tmp_path / "second.mp4").opt_out


@pytest.mark.parametrize("content", [None, bytes(1000)])
def test_manifest_beside_a_file_counts_whatever_the_file_is(clip, signer, tmp_path, content):
    manifest = signer.sign(
        clip, tmp_path / "same.mp4", "cawg.training-mining", beside=True, ai_training="notAllowed"
    )
    path = tmp_path / "file.webm"
    path.write_bytes(clip.read_bytes() if content is None else content)
    claims = inspect(path, manifest)
    assert claims.opt_out == "cawg.training-mining: cawg.ai_training=notAllowed"
    assert claims.credentials.state == ("Valid" if content is None else "Invalid")


def test_opt_out_in_a_file_counts_though_the_manifest_beside_it_has_none(clip, signer, tmp_path):
    manifest = signer.sign(clip, tmp_path / "same.mp4", beside=True)
    signer.sign(clip, tmp_path / "signed.mp4", "c2pa.training-mining", ai_training="notAllowed")
    assert "notAllowed" in inspect(tmp_path / "signed.mp4", manifest).opt_out


def test_file_without_a_manifest_has_no_claims(clip, tmp_path):
    assert manifest_bytes(clip) is None
    assert inspect(clip) is None
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert inspect(tmp_path / "empty.mp4") is None


def test_manifest_that_cannot_be_read_is_refused_because_it_may_hold_an_opt_out(clip, signer, tmp_path):
    path = tmp_path / "signed.mp4"
    signer.sign(clip, path, "c2pa.training-mining", ai_training="notAllowed")
    manifest = manifest_bytes(path)
    path.write_bytes(path.read_bytes().replace(manifest, b"\0" * len(manifest)))
    outcome = inspect(path)
    assert isinstance(outcome, ItemError)
    assert outcome.rule == "c2pa"


def test_hostile_box_sizes_end_the_search(clip, tmp_path):
    data = clip.read_bytes()
    for size in (b"\0\0\0\x01", b"\0\0\0\x00", b"\0\0\0\x07", b"\xff\xff\xff\xff"):
        path = tmp_path / "hostile.mp4"
        path.write_bytes(data[:32] + size + b"uuid" + data[40:])
        assert manifest_bytes(path) is None
    (tmp_path / "many.mp4").write_bytes(b"\0\0\0\x08free" * 200_000)
    assert manifest_bytes(tmp_path / "many.mp4") is None


def test_every_mutation_of_a_signed_file_ends_with_an_outcome(clip, signer, tmp_path):
    source = tmp_path / "signed.mp4"
    signer.sign(clip, source, "c2pa.training-mining", ai_training="notAllowed")
    data, start = source.read_bytes(), source.read_bytes().index(manifest_bytes(source))
    paths = []
    for number in range(64):
        position = start + 37 * number
        paths.append(tmp_path / f"{number}.mp4")
        paths[-1].write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
    files = [Media(path, ".mp4") for path in paths]
    outcomes = inspect_files(files, probe=False, max_bytes=1 << 30, timeout_seconds=30)
    assert len(outcomes) == 64
    refused = [o for o in outcomes if isinstance(o, ItemError)]
    assert all(outcome.rule in ("c2pa", "crash") for outcome in refused)
    assert all(o is None or isinstance(o, ItemError) or o.credentials.state for o in outcomes)
