"""Whose certificate signs: the operator's, or this machine's own, which nobody but its user can read."""

import stat
from pathlib import Path

import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from veo_core.errors import UsageError
from veo_core.provenance.credentials import LOCAL_ISSUER, from_pem, load_credentials
from veo_core.provenance.read import read_manifest
from veo_core.provenance.sign import sign

EMAIL = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)


def put(folder: Path, chain: bytes, key: bytes) -> dict[str, str]:
    """The environment that names a certificate and a key in `folder`."""
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return {
        "VEO_C2PA_CERTIFICATE": str(folder / "chain.pem"),
        "VEO_C2PA_KEY": str(folder / "key.pem"),
        "HOME": str(folder / "home"),
    }


def test_operators_certificate_signs_where_the_environment_names_one(tmp_path, mp4, claim):
    authority = Authority()
    credentials = load_credentials(put(tmp_path, *authority.issue(EMAIL)))
    assert not credentials.local
    assert read_manifest(sign(mp4, claim, credentials), anchors=authority.pem()).state == "trusted"
    assert not (tmp_path / "home").exists()


def test_local_certificate_is_made_once_for_its_user_alone(tmp_path, mp4, claim):
    environment = {"HOME": str(tmp_path)}
    first, again = load_credentials(environment), load_credentials(environment)
    assert first == again
    assert first.local
    path = tmp_path / ".config" / "veo" / "c2pa.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["c2pa.pem"]
    reading = read_manifest(sign(mp4, claim, first))
    assert (reading.state, reading.issuer) == ("valid", LOCAL_ISSUER)


def test_damaged_local_certificate_is_replaced(tmp_path):
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    first = load_credentials(environment)
    (tmp_path / "veo" / "c2pa.pem").write_bytes(first.chain[:200])
    second = load_credentials(environment)
    assert second.id != first.id
    assert load_credentials(environment) == second


def test_without_a_folder_for_it_the_local_certificate_lives_as_long_as_the_process(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "file")}
    assert load_credentials(environment) == load_credentials(environment)
    assert load_credentials(environment).local


@pytest.mark.parametrize("missing", ["VEO_C2PA_CERTIFICATE", "VEO_C2PA_KEY"])
def test_half_of_a_pair_is_refused(tmp_path, missing):
    environment = put(tmp_path, *Authority().issue(EMAIL))
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        load_credentials(environment | {missing: ""})


@pytest.mark.parametrize("name", ["chain.pem", "key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN NONSENSE-----"])
def test_missing_or_damaged_file_is_named_without_its_content(tmp_path, name, content):
    environment = put(tmp_path, *Authority().issue(EMAIL))
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    variable = "VEO_C2PA_CERTIFICATE" if name == "chain.pem" else "VEO_C2PA_KEY"
    with pytest.raises(UsageError, match=variable) as caught:
        load_credentials(environment)
    assert "NONSENSE" not in str(caught.value)


def test_key_of_another_certificate_is_refused(tmp_path):
    authority = Authority()
    chain, _ = authority.issue(EMAIL)
    _, key = authority.issue(EMAIL)
    with pytest.raises(UsageError, match="does not belong"):
        from_pem(chain, key)


def test_no_key_shows_in_the_credentials_text(local):
    assert local.key is not None
    body = local.key.splitlines()[1].decode()
    assert body not in repr(local)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
    ids=["p384", "ed25519", "rsa"],
)
def test_every_kind_of_key_that_c2pa_knows_signs(mp4, claim, key, algorithm):
    authority = Authority()
    chain = authority.certify(key.public_key(), EMAIL)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = from_pem(chain, private)
    assert credentials.algorithm == algorithm
    assert read_manifest(sign(mp4, claim, credentials), anchors=authority.pem()).state == "trusted"
