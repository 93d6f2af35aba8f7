"""The C2PA lines of `veo verify-media`."""

from pathlib import Path

from cryptography import x509

from veo_core.errors import ItemError, UsageError
from veo_core.media.isolate import run_isolated
from veo_core.provenance.credentials import LOCAL_ISSUER
from veo_core.provenance.read import ManifestReading, read_manifest

_SECONDS = 60.0  # that reading a manifest may take


def manifest_of(path: Path, anchors: bytes | None) -> ManifestReading:
    """The C2PA manifest in a file, read in a confined process.

    Args:
        path: an MP4 or MOV file; others have none that is read.
        anchors: certificates that are trusted, PEM.

    Raises:
        UsageError: the file cannot be read.
    """

    def work(file: Path) -> bytes:
        return read_manifest(file, anchors=anchors).to_bytes()

    (result,) = run_isolated([path], work, timeout_seconds=_SECONDS)
    if isinstance(result, ItemError):
        return ManifestReading(state="invalid", problems=[f"{result.rule}: {result}"])
    return ManifestReading.model_validate_json(result)


def manifest_text(reading: ManifestReading) -> str:
    """A reading of a manifest in lines."""
    if reading.state == "none":
        return "C2PA manifest: none"
    about = {
        "invalid": "invalid: the file, the manifest and its signature do not fit",
        "valid": "valid; nobody that you named vouches for the signer",
        "trusted": "trusted",
    }
    lines = [f"C2PA manifest: {about[reading.state]}"]
    if reading.problems:
        lines.append(f"problems: {', '.join(reading.problems)}")
    if reading.state == "invalid":
        return "\n".join(lines)
    lines.append(f"signed by: {reading.signer}, {reading.issuer}")
    if reading.issuer == LOCAL_ISSUER:
        lines[-1] += " (made on the spot: anyone can make one of this name)"
    lines.append(f"made by: {reading.generator}, {reading.source_type or 'no source type'}")
    claim = reading.claim
    if claim is not None:
        named = f"{claim.model or 'not registered'}, digest {claim.model_digest[:12]}"
        lines.append(f"claimed model: {named}; seed {claim.seed}; prompt sha256 {claim.prompt_sha256[:12]}")
    if reading.soft_binding:
        bound = "" if claim is None or claim.soft_binding is None else f" {claim.soft_binding.payload}"
        lines.append(f"watermark that it names: {reading.soft_binding}{bound} (an unregistered algorithm)")
    return "\n".join(lines)


def read_anchors(path: Path) -> bytes:
    """Certificates of a PEM file.

    Raises:
        UsageError: it cannot be read, or holds no certificate.
    """
    try:
        data = path.read_bytes()
        x509.load_pem_x509_certificates(data)
    except OSError as error:
        raise UsageError(f"--anchors {path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"--anchors {path}: it holds no PEM certificate") from None
    return data
