"""The manifest: the small artifact that a stage hands to the next one."""

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts

SCHEMA_VERSION = 1


class Manifest(Record):
    """What a stage produced: figures, and references to tables and files in the store.

    It holds no time, host name or absolute path: equal inputs, configuration and seed give equal bytes.
    """

    schema_version: int = SCHEMA_VERSION
    stage: str
    config_digest: str
    rows: int = 0
    counts: Counts | None = Field(default=None, description="set by stages that decide on items")
    tables: dict[str, TableRef] = Field(default_factory=dict, description="Parquet tables by name")
    files: dict[str, FileRef] = Field(default_factory=dict, description="other single files by name")
    shards: list[FileRef] = Field(default_factory=list, description="WebDataset shards, in order")
    metrics: dict[str, float] = Field(default_factory=dict)
