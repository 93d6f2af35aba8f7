"""Collect: bring footage into the store with its rights, from a place, a list, Pexels or the world."""

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from pydantic import Field

from veo_core.curate.decisions import LedgerWriter
from veo_core.curate.note import VIEWS
from veo_core.errors import UsageError
from veo_core.records.clip import Source
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.sources.bucket import BucketOrigin
from veo_core.sources.folder import FolderOrigin
from veo_core.sources.intake import Collected, Rules, take_in
from veo_core.sources.items import Item, Origin
from veo_core.sources.listed import UrlOrigin, check_hosts
from veo_core.sources.pexels import HOSTS, PexelsClient, PexelsSearch
from veo_core.sources.policy import DownloadPolicy
from veo_core.sources.remote import is_remote
from veo_core.sources.url_list import read_list
from veo_core.sources.world import WorldOrigin
from veo_core.stage import Context, stage_main
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

_SHARD_ITEMS = 16


class CollectConfig(Rules):
    """Where footage comes from, which is one of `folder`, `url_list`, `pexels` and `world`; what may pass."""

    folder: str = Field(default="", description="footage folder or gs:// or s3:// prefix, with sidecars")
    url_list: str = Field(default="", description="CSV or JSONL file of URLs, each with its rights")
    pexels: PexelsSearch | None = Field(default=None, description="searches of the Pexels API")
    world: WorldSpec | None = Field(default=None, description="a world to film (veo_core.world.truth)")
    revision: str = Field(
        default="", description="any text that changes when the footage does, so that caches see it"
    )
    download: DownloadPolicy = Field(default_factory=DownloadPolicy, description="bounds of downloads")
    min_short_side: int = Field(
        default=512, ge=1, description="of several renditions the smallest with this short side is taken"
    )
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


def run(*, config: CollectConfig, context: Context) -> Manifest:
    """One source a file; those without permission to train on them, or too large, are dropped."""
    origin, items = _open(config, context.store)
    rules = Rules(permissions=config.permissions, max_bytes=config.max_bytes)
    results = context.map_shards(
        items,
        partial(take_in, origin=origin, rules=rules, store=context.store),
        identity=attrgetter("identity"),
        result=Collected,
        shard_size=_SHARD_ITEMS,
    )
    with context.store.write_table(Source) as sources, context.store.write_table(Decision) as decisions:
        ledger = LedgerWriter(decisions, context.stage)
        for result in results.sorted_by("item"):
            details = result.model_dump(include={"value", "threshold", "evidence"})
            ledger.add(result.item, result.item, result.verdict, result.rule, **details)
            if result.source is not None:
                sources.add(result.source)
    ledger.check_failed_share(config.max_failed_share, of=len(items))
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=sources.rows,
        counts=ledger.counts(received=len(items)),
        tables={
            "sources": sources.ref,
            "ledger": decisions.ref,
            "funnel": ledger.funnel(None, context.store),
        },
    )


def _open(config: CollectConfig, store: Store) -> tuple[Origin, Sequence[Item]]:
    """The one source that is configured, and what it lists.

    Raises:
        UsageError: none or several are configured, or it cannot be listed.
    """
    if sum(map(bool, (config.folder, config.url_list, config.pexels, config.world))) != 1:
        raise UsageError(
            "collect: set one of `folder`, `url_list`, `pexels` and `world` in its configuration"
        )
    if config.world is not None:
        world = WorldOrigin(config.world)
        return world, world.items()
    if config.pexels is not None:
        policy = config.download.with_hosts(HOSTS)
        videos = PexelsClient(config.pexels, policy, store, config.revision).videos()
        return _downloads("pexels", policy, config, store), videos
    if config.url_list:
        check_hosts(config.download)
        return _downloads("list", config.download, config, store), read_list(config.url_list)
    if is_remote(config.folder):
        bucket = BucketOrigin(config.folder, config.max_bytes, config.download.parallel)
        return bucket, bucket.items()
    folder = FolderOrigin(Path(config.folder))
    return folder, folder.items()


def _downloads(kind: str, policy: DownloadPolicy, config: CollectConfig, store: Store) -> UrlOrigin:
    return UrlOrigin(kind, policy, store, config.revision, config.min_short_side, config.max_bytes)


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
