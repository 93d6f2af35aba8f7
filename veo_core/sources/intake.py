"""One file's way into the store: rights, size, what was forgotten, bytes, C2PA, in this order."""

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from veo_core.errors import ItemError
from veo_core.records.base import Record
from veo_core.records.clip import Source
from veo_core.records.ledger import Verdict
from veo_core.sources.credentials import Claims
from veo_core.sources.inspection import inspect_files
from veo_core.sources.items import Item, Media, Origin, OversizedError, source_id_of
from veo_core.sources.listed import Download
from veo_core.sources.provenance import Provenance
from veo_core.storage import Store

_INSPECTION_SECONDS = 60.0


class Rules(Record):
    """What may pass. Footage whose rights are denied never does."""

    permissions: list[Literal["allowed", "unknown"]] = Field(
        default=["allowed"], description="values of ml_training that pass the rights gate"
    )
    max_bytes: int = Field(default=20_000_000, gt=0, description="larger files are dropped")


class Collected(Record):
    """One item: the source it became, or why it became none."""

    item: str
    verdict: Verdict
    rule: str = ""
    value: str = ""
    threshold: str = ""
    evidence: str
    source: Source | None = None


@dataclass(frozen=True)
class _Fetched:
    """An item whose bytes are on this machine."""

    item: Item
    source_id: str
    provenance: Provenance
    media: Media


def take_in(shard: Sequence[Item], *, origin: Origin, rules: Rules, store: Store) -> list[Collected]:
    """Bring a shard of a source's items into the store; one result an item, in their order."""
    with tempfile.TemporaryDirectory(prefix="veo-collect-") as name:
        folders = [Path(name) / str(number) for number in range(len(shard))]
        for folder in folders:
            folder.mkdir()
        intake = _Intake(origin, rules, store)
        if origin.parallel == 1:
            results = [intake.fetch(item, folder) for item, folder in zip(shard, folders, strict=True)]
        else:
            with ThreadPoolExecutor(origin.parallel) as threads:
                results = list(threads.map(intake.fetch, shard, folders))
        return intake.conclude(results)


@dataclass(frozen=True)
class _Intake:
    origin: Origin
    rules: Rules
    store: Store

    def fetch(self, item: Item, scratch: Path) -> Collected | _Fetched:
        """Everything before the file is looked into. Bytes that are elsewhere come last."""
        source_id = self.origin.source_id(item)
        media, digest = None, ""
        if not source_id:
            media = self.origin.fetch(item, scratch)
            digest = _sha256(media.path)
            source_id = source_id_of(item.name, digest)
        try:
            if self._is_forgotten(source_id):
                return self._dropped(source_id, item, "forgotten")
            provenance = self.origin.provenance(item, scratch)
            if provenance.ml_training not in self.rules.permissions:
                return self._dropped(
                    source_id,
                    item,
                    "rights",
                    provenance.evidence or "no evidence",
                    value=provenance.ml_training,
                    threshold=", ".join(self.rules.permissions),
                )
            media = media or self.origin.fetch(item, scratch)
            self._check_size(media.path.stat().st_size)
        except OversizedError as error:
            return self._dropped(
                source_id, item, error.rule, value=str(error.size), threshold=str(error.limit)
            )
        except ItemError as error:
            return self._failed(source_id, item, error)
        if self._is_forgotten(digest or _sha256(media.path)):
            return self._dropped(source_id, item, "forgotten")
        return _Fetched(item, source_id, provenance, media)

    def conclude(self, results: Sequence[Collected | _Fetched]) -> list[Collected]:
        """Look into the files that are here, and store those that may pass."""
        fetched = [result for result in results if isinstance(result, _Fetched)]
        claims = inspect_files(
            [result.media for result in fetched],
            probe=self.origin.untrusted,
            max_bytes=self.rules.max_bytes,
            timeout_seconds=_INSPECTION_SECONDS,
        )
        found = iter(claims)
        return [
            self._stored(result, next(found)) if isinstance(result, _Fetched) else result
            for result in results
        ]

    def _stored(self, fetched: _Fetched, claims: Claims | ItemError | None) -> Collected:
        item, source_id, media = fetched.item, fetched.source_id, fetched.media
        if isinstance(claims, ItemError):
            return self._failed(source_id, item, claims)
        if claims is not None and claims.opt_out:
            made = claims.credentials
            who = f"claim {made.claim} by {made.issuer or 'unknown'} in manifest {made.sha256}"
            return self._dropped(source_id, item, "c2pa_opt_out", who, value=claims.opt_out)
        file = self.store.put_file(media.path, media.suffix)
        if media.mark:
            self.store.set_mark(media.mark, Download(file=file, retrieved_at=media.retrieved_at).to_bytes())
        said = fetched.provenance.model_dump()
        said["retrieved_at"] = said["retrieved_at"] or media.retrieved_at
        source = Source(
            source_id=source_id,
            name=item.name,
            file=file,
            origin=self.origin.kind,
            credentials=claims.credentials if claims is not None else None,
            **said,
        )
        return Collected(item=source_id, verdict="kept", evidence=item.name, source=source)

    def _dropped(
        self, source_id: str, item: Item, rule: str, reason: str = "", *, value: str = "", threshold: str = ""
    ) -> Collected:
        evidence = f"{item.name}: {reason}" if reason else item.name
        return Collected(
            item=source_id, verdict="dropped", rule=rule, value=value, threshold=threshold, evidence=evidence
        )

    def _failed(self, source_id: str, item: Item, error: ItemError) -> Collected:
        """A file beyond a limit is dropped by that rule; one that cannot be had or read has failed."""
        verdict: Verdict = "dropped" if error.rule == "limit" else "failed"
        return Collected(item=source_id, verdict=verdict, rule=error.rule, evidence=f"{item.name}: {error}")

    def _check_size(self, size: int) -> None:
        if size > self.rules.max_bytes:
            raise OversizedError(size, self.rules.max_bytes)

    def _is_forgotten(self, identity: str) -> bool:
        """Whether `veo forget` named this source or these bytes."""
        return self.store.get_mark(f"forgotten/{identity}") is not None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
