"""C2PA manifests signed for real, with certificates made on the spot."""

import json
from pathlib import Path

import c2pa
from certificates import Authority
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


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
