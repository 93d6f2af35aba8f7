"""Signed clips: the library validates them, every altered byte fails them, and they say what they must."""

import io
import json
from pathlib import Path

import c2pa
import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.errors import UsageError
from veo_core.media.decode import decode
from veo_core.provenance.claim import COMPOSITE, GENERATED
from veo_core.provenance.credentials import Credentials, from_pem
from veo_core.provenance.read import read_manifest
from veo_core.provenance.sign import sign

EMAIL = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def operator(authority) -> Credentials:
    return from_pem(*authority.issue(EMAIL))


@pytest.fixture(scope="module")
def signed(mp4, claim, operator) -> bytes:
    return sign(mp4, claim, operator)


def boxes(data: bytes) -> dict[str, tuple[int, int]]:
    """Where the content of each top-level box of an MP4 file lies."""
    found, position = {}, 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        found[data[position + 4 : position + 8].decode()] = (position + 8, position + length)
        position += length
    return found


def test_signed_clip_passes_the_librarys_own_validation(signed):
    with c2pa.Reader("video/mp4", io.BytesIO(signed)) as reader:
        assert reader.get_validation_state() == "Valid"
        active = json.loads(reader.json())["manifests"][reader.get_active_manifest()["label"]]
    (generator,) = active["claim_generator_info"]
    assert generator["name"] == "veo-from-scratch"
    by_label = {assertion["label"]: assertion["data"] for assertion in active["assertions"]}
    created, watermarked = by_label["c2pa.actions.v2"]["actions"]
    assert (created["action"], created["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert watermarked["action"] == "c2pa.watermarked.bound"
    assert by_label["c2pa.soft-binding"]["alg"] == "org.veo-from-scratch.spread-spectrum.1"
    assert by_label["c2pa.soft-binding"]["blocks"] == [{"scope": {}, "value": "aaaa0123abcd"}]


def test_manifest_tells_the_claim_that_was_signed(signed, claim):
    reading = read_manifest(signed)
    assert reading.claim == claim
    assert (reading.state, reading.problems) == ("valid", [])
    assert (reading.issuer, reading.signer) == ("Camera Test", "leaf")
    assert reading.source_type == "trainedAlgorithmicMedia"
    assert reading.generator.startswith("veo-from-scratch ")


def test_signed_clip_plays_as_before(signed, mp4, tmp_path):
    for name, data in (("a", mp4), ("b", signed)):
        (tmp_path / f"{name}.mp4").write_bytes(data)
    before, after = decode(tmp_path / "a.mp4"), decode(tmp_path / "b.mp4")
    assert before.packet_hash == after.packet_hash


def test_manifest_is_trusted_with_the_signers_anchor_alone(signed, authority):
    assert read_manifest(signed, anchors=authority.pem()).state == "trusted"
    stranger = read_manifest(signed, anchors=Authority().pem())
    assert (stranger.state, stranger.problems) == ("valid", ["signingCredential.untrusted"])


@pytest.mark.parametrize("box", ["moov", "mdat"])
def test_one_flipped_byte_anywhere_in_moov_or_mdat_makes_the_manifest_invalid(signed, box):
    start, end = boxes(signed)[box]
    for position in [start, *range(start + 7, end, max(1, (end - start) // 24)), end - 1]:
        altered = bytearray(signed)
        altered[position] ^= 0x40
        assert read_manifest(bytes(altered)).state == "invalid", position


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_in_the_manifest_never_leaves_it_valid(signed, claim, data):
    """Unused padding may change; no claim may, and nothing raises."""
    start, end = boxes(signed)["uuid"]
    altered = bytearray(signed)
    altered[data.draw(st.integers(start, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reading = read_manifest(bytes(altered))
    assert reading.state in ("invalid", "none") or reading.claim == claim


def test_cut_or_appended_file_is_invalid(signed):
    assert read_manifest(signed[:-100]).state == "invalid"
    assert read_manifest(signed + b"\0\0\0\x10mdat12345678").state == "invalid"


def test_manifest_of_another_clip_is_invalid(signed, mp4):
    start, end = boxes(signed)["uuid"]
    transplanted = mp4 + signed[start - 8 : end]
    assert read_manifest(transplanted).state == "invalid"


def test_file_without_a_manifest_has_none(mp4, tmp_path):
    assert read_manifest(mp4).state == "none"
    (tmp_path / "text.mp4").write_text("no video")
    assert read_manifest(tmp_path / "text.mp4").state == "none"
    with pytest.raises(UsageError, match="cannot be read"):
        read_manifest(tmp_path / "missing.mp4")


def test_made_sound_for_a_given_video_is_a_composite(mp4, claim, operator):
    dubbed = claim.model_copy(update={"mode": "v2a", "soft_binding": None})
    assert dubbed.source_type == COMPOSITE
    reading = read_manifest(sign(mp4, dubbed, operator))
    assert (reading.state, reading.soft_binding) == ("valid", "")
    assert reading.source_type == "compositeWithTrainedAlgorithmicMedia"


def test_key_management_service_signs_through_a_callback(mp4, claim, authority):
    chain, key = authority.issue(EMAIL)
    private = serialization.load_pem_private_key(key, None)
    asked = []

    def service(data: bytes) -> bytes:
        asked.append(len(data))
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    reading = read_manifest(sign(mp4, claim, Credentials(chain, "es256", callback=service)))
    assert (reading.state, reading.claim, len(asked)) == ("valid", claim, 1)


def test_service_that_fails_is_one_line(mp4, claim, authority, caplog):
    def service(data: bytes) -> bytes:
        raise OSError("the service is gone")

    chain, _ = authority.issue(EMAIL)
    with pytest.raises(UsageError, match="cannot be signed") as caught:
        sign(mp4, claim, Credentials(chain, "es256", callback=service))
    assert "\n" not in str(caught.value)


def test_certificate_for_another_purpose_is_refused(mp4, claim, authority):
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    with pytest.raises(UsageError):
        sign(mp4, claim, from_pem(*authority.issue((server, False))))


def test_file_that_is_no_mp4_cannot_be_signed(claim, operator, tmp_path):
    with pytest.raises(UsageError, match="cannot be signed"):
        sign(b"no video at all", claim, operator)
    with pytest.raises(UsageError, match="cannot be read"):
        sign(Path(tmp_path / "missing.mp4"), claim, operator)
