"""Writing exports to a folder, each whole or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports import FORMATS
from veo_core.lineage.exports.bill_of_materials import run_bill_of_materials
from veo_core.lineage.exports.croissant import run_croissant
from veo_core.lineage.exports.model_card import run_model_card
from veo_core.lineage.exports.openlineage.events import run_events
from veo_core.lineage.exports.subject import MissingError, record_of
from veo_core.lineage.exports.training_content.summary import run_training_content

# What gives the files of each format for a run's evidence and the folder that they will lie in.
_BUILDERS: dict[str, Callable[[Evidence, Path], dict[str, bytes]]] = {
    "openlineage": run_events,
    "croissant": run_croissant,
    "ml-bom": run_bill_of_materials,
    "model-card": run_model_card,
    "training-content": run_training_content,
}


@dataclass(frozen=True)
class Written:
    """What became of each format.

    Attributes:
        files: the files that were written.
        missing: why the others were not, by format.
    """

    files: list[Path]
    missing: dict[str, str]


def write_exports(evidence: Evidence, out: Path, formats: Sequence[str] = FORMATS) -> Written:
    """Write what a run's record tells in each of `formats`.

    Args:
        evidence: the run's.
        out: a folder that is new or empty.
        formats: of `FORMATS`.

    Raises:
        UsageError: the run's record is damaged, or the folder holds files or cannot be written.
    """
    record_of(evidence)
    files: list[Path] = []
    missing: dict[str, str] = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"{out}: holds files; name a folder that is new or empty")
        for name in formats:
            try:
                made = _BUILDERS[name](evidence, out)
            except MissingError as error:
                missing[name] = str(error)
                continue
            for file, data in made.items():
                (out / file).write_bytes(data)
                files.append(out / file)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from None
    return Written(files, missing)
