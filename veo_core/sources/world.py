"""The procedural world as a source of footage: every item is filmed when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.sources.items import Item, Media, suffix_of
from veo_core.sources.provenance import Provenance, parse_sidecar
from veo_core.world.studio import film_clip
from veo_core.world.truth import WorldSpec, clip_name


@dataclass(frozen=True)
class WorldOrigin:
    """The clips of a world; its sidecars say what is known of them, as with any footage."""

    spec: WorldSpec
    kind: str = "world"
    parallel: int = 1
    untrusted: bool = False

    def items(self) -> Sequence[Item]:
        """One item a clip."""
        return [Item(clip_name(index), str(index)) for index in range(self.spec.clips)]

    def source_id(self, item: Item) -> str:
        """The content decides."""
        return ""

    def fetch(self, item: Item, scratch: Path) -> Media:
        """Films the clip into `scratch`."""
        return Media(film_clip(self.spec, int(item.revision), scratch).path, suffix_of(item.name))

    def provenance(self, item: Item, scratch: Path) -> Provenance:
        """What the sidecar says that was filmed with it."""
        beside = (scratch / item.name).with_suffix(".json")
        return parse_sidecar(beside.read_bytes(), beside.name)
