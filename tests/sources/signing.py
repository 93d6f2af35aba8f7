"""C2PA manifests signed for real, with certificates made on the spot."""

import datetime
import json
from pathlib import Path

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Camera Test")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(**set_bits: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: set_bits.get(name, False) for name in names})


class Authority:
    """A certificate authority of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder("authority", self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    def issue(self, *extensions: tuple[x509.ExtensionType, bool]) -> tuple[bytes, bytes]:
        """PEM certificate chain and PEM private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder("leaf", key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in [*extensions, (issuer, False)]:
            builder = builder.add_extension(extension, critical=critical)
        chain = [builder.sign(self._key, hashes.SHA256()), self.certificate]
        pem = b"".join(part.public_bytes(serialization.Encoding.PEM) for part in chain)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, private

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, common: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name("authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


class Signer:
    """Puts signed manifests into videos."""

    def __init__(self) -> None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        self._chain, self._key = Authority().issue((usage, False))

    def sign(
        self,
        source: Path,
        target: Path,
        label: str = "",
        *,
        parent: Path | None = None,
        beside: bool = False,
        **entries: str,
    ) -> bytes:
        """Write `source` to `target` with a manifest; `entries` go into the assertion `label`.

        `parent` is the signed file that this one was made from; `beside` leaves the manifest out of the
        file. Gives the manifest store.

        `ai_training="notAllowed"` is the entry "PREFIX.ai_training", the prefix being that of the label.
        """
        made = {"action": "c2pa.created", "digitalSourceType": CAPTURE}
        if parent is not None:
            made = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
        assertions = [{"label": "c2pa.actions", "data": {"actions": [made]}}]
        if label:
            prefix = label.split(".")[0]
            terms = {f"{prefix}.{name}": {"use": use} for name, use in entries.items()}
            assertions.append({"label": label, "data": {"entries": terms}})
        manifest = {
            "claim_generator_info": [{"name": "test camera", "version": "1"}],
            "title": source.name,
            "assertions": assertions,
        }
        info = c2pa.C2paSignerInfo(b"es256", self._chain, self._key, b"")
        info.ta_url = None
        with source.open("rb") as before, target.open("w+b") as after:
            builder = c2pa.Builder(json.dumps(manifest))
            if parent is not None:
                about = {"title": parent.name, "relationship": "parentOf", "label": "parent"}
                with parent.open("rb") as stream:
                    builder.add_ingredient(json.dumps(about), "video/mp4", stream)
            if beside:
                builder.set_no_embed()
            return builder.sign(c2pa.Signer.from_info(info), "video/mp4", before, after)
