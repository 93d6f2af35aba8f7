"""A stage that a recipe leaves out: it keeps every clip as it is, and says so."""

from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.stage import Context

EVIDENCE = "stage not enabled"


def keep_all(clips: ClipTable, *, config: Record, context: Context) -> Manifest:
    """The manifest of a stage that is not enabled."""
    with ClipWriter(clips, config=config, context=context) as out:
        for clip in clips:
            out.keep(clip, evidence=EVIDENCE)
    return out.manifest()
