"""The model page: the registry entry that a run made, its card, sources, licences and files."""

import html
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.explorer.findings import find_entry, find_promotion, gate_summary, last_with_table
from veo_core.explorer.library import Run
from veo_core.explorer.results import Block, Download, ModelDocument, SourceGroup
from veo_core.lineage.evidence import Evidence
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.registry.records import ModelEntry

_SOURCE = ("licence_id", "licence_url", "origin", "author", "ml_training")
_CELL = re.compile(r"(?<!\\)\|")


def model_document(run: Run) -> ModelDocument:
    """The model that the run registered.

    Raises:
        UsageError: it registered none, or its entry cannot be read.
    """
    evidence = run.evidence
    entry = find_entry(evidence)
    if entry is None:
        raise UsageError(f"run {run.folder.name} registered no model whose entry can be read")
    model = entry.description
    card = evidence.bytes(entry.card)
    return ModelDocument(
        reference=entry.reference,
        intended_use=model.intended_use,
        limits=model.limits,
        card=list(blocks(card.decode("utf-8", "replace"))) if card else [],
        licences=model.data.licences,
        train_clips=model.data.train_clips,
        validation_clips=model.data.validation_clips,
        train_seconds=model.data.train_seconds,
        sources=_sources(evidence),
        files=[
            Download(name=name, sha256=ref.sha256, bytes=ref.bytes, path=ref.path, there=run.store.has(ref))
            for name, ref in model_files(entry).items()
        ],
        manifests=model.manifests,
        training=model.training,
        parts=model.run.parts if model.run else {},
        marks=model.marks,
        sign_offs=model.sign_offs,
        gate=gate_summary(model.decision),
        promotion=entry.promotion or find_promotion(evidence),
        notes=list(dict.fromkeys(evidence.notes)),
    )


def model_files(entry: ModelEntry) -> dict[str, FileRef]:
    """The files of a model by name."""
    files = {name: getattr(entry.description.files, name) for name in ModelFiles.model_fields}
    files["card"] = entry.card
    if entry.ml_bom is not None:
        files["ml_bom"] = entry.ml_bom
    return files


def _sources(evidence: Evidence) -> list[SourceGroup]:
    """The sources of training clips by licence, origin, author and permission, most clips first."""
    manifest = last_with_table(evidence, "pairs")
    if manifest is None or "clips" not in manifest.tables:
        return []
    ref = manifest.tables["clips"]
    columns = ["split", *(f"source.{name}" for name in ("source_id", *_SOURCE))]
    try:
        with tempfile.TemporaryDirectory(prefix="veo-sources-") as folder:
            table = pq.ParquetFile(evidence.store.local_path(ref, Path(folder))).read(columns=columns)
    except (UsageError, OSError, pa.ArrowException) as error:
        evidence.notes.append(f"table {ref.path} cannot be shown: {str(error).splitlines()[0]}")
        return []
    source = table.filter(pc.equal(table["split"], "train"))["source"]
    flat = pa.table({name: pc.struct_field(source, name) for name in ("source_id", *_SOURCE)})
    groups = flat.group_by(list(_SOURCE)).aggregate([("source_id", "count"), ("source_id", "count_distinct")])
    found = [
        SourceGroup(
            licence=row["licence_id"],
            licence_url=row["licence_url"],
            origin=row["origin"],
            author=row["author"],
            permission=row["ml_training"],
            sources=row["source_id_count_distinct"],
            clips=row["source_id_count"],
        )
        for row in groups.to_pylist()
    ]
    return sorted(found, key=lambda group: (-group.clips, group.licence, group.author))


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks of Markdown as this product writes it: headings, paragraphs, lists and tables.

    Escaped characters are texts again, to be shown as text. Anything else is a paragraph.
    """
    for part in re.split(r"\n\s*\n", markdown):
        lines = [line for line in part.splitlines() if line.strip()]
        if lines and re.fullmatch(r"#{1,6} .*", lines[0]):
            marks, _, text = lines[0].partition(" ")
            yield Block(kind="heading", level=len(marks), text=_plain(text))
            lines = lines[1:]
        if not lines:
            continue
        if all(line.startswith("|") for line in lines) and len(lines) > 1:
            cells = [[_plain(cell) for cell in _CELL.split(line.strip("| \n"))] for line in lines]
            yield Block(kind="table", head=cells[0], rows=cells[2:])
        elif all(line.startswith("- ") for line in lines):
            yield Block(kind="list", items=[_plain(line[2:]) for line in lines])
        else:
            yield Block(kind="paragraph", text=_plain(" ".join(lines)))


def _plain(text: str) -> str:
    return html.unescape(text.replace("\\|", "|")).strip()
