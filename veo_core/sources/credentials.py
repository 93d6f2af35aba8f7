"""C2PA manifests in or beside video files: what they claim, and whether they forbid training.

Sources: C2PA technical specification, section "training and data mining" of 1.4; CAWG training and data
mining assertion 1.1.
"""

from pathlib import Path
from typing import Any

import c2pa

from veo_core.errors import ItemError
from veo_core.provenance.read import manifest_in, read_store
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.clip import ContentCredentials

_ASSERTIONS = ("c2pa.training-mining", "cawg.training-mining")
_FORBIDDEN = ("notAllowed", "constrained")
# A file is hostile until shown otherwise: reading it must not make this machine ask another one.
_SETTINGS = {"verify": {"verify_trust": False, "remote_manifest_fetch": False, "ocsp_fetch": False}}


class Claims(Record):
    """What a file's C2PA manifest says; `opt_out` is the entry that forbids training, "" where none does."""

    credentials: ContentCredentials
    opt_out: str = ""


def manifest_bytes(path: Path) -> bytes | None:
    """The C2PA manifest store of an MP4 or MOV file, None where it has none."""
    with path.open("rb") as stream:
        return manifest_in(stream)


def read_claims(path: Path, manifest: bytes, *, beside: bool = False) -> Claims:
    """What a file's manifest says. The bytes are untrusted: call it in an isolated process.

    An opt-out counts whether or not the signature fits, and in every manifest of the store: that of an
    ingredient forbids the use of what was made from it.

    Args:
        path: the file.
        manifest: its manifest store.
        beside: whether the store came beside the file, not in it.

    Raises:
        ItemError: rule "c2pa": there is a manifest that cannot be read, so that it may hold an opt-out.
    """
    try:
        with path.open("rb") as stream:
            store, state = read_store(stream, _SETTINGS, beside=manifest if beside else None)
        active = store["manifests"][store["active_manifest"]]
        generators = active.get("claim_generator_info") or [{}]
        credentials = ContentCredentials(
            sha256=sha256_bytes(manifest),
            claim=store["active_manifest"],
            generator=str(generators[0].get("name", "")),
            issuer=str((active.get("signature_info") or {}).get("issuer", "")),
            state=state,
        )
        return Claims(credentials=credentials, opt_out=_opt_out(store["manifests"].values()))
    except (c2pa.C2paError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ItemError(
            "c2pa", f"its C2PA manifest cannot be read: {type(error).__name__}: {reason}"
        ) from None


def _opt_out(manifests: Any) -> str:
    for manifest in manifests:
        for assertion in manifest.get("assertions", []):
            if not assertion["label"].startswith(_ASSERTIONS):
                continue
            for entry, terms in sorted(assertion["data"].get("entries", {}).items()):
                if terms.get("use") in _FORBIDDEN:
                    return f"{assertion['label']}: {entry}={terms['use']}"
    return ""
