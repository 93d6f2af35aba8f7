"""The dataset card, in Markdown, after Pushkarna et al., "Data Cards" (2204.01075)."""

from collections.abc import Sequence

from veo_core.curate.card_tables import curation_table, quality_table
from veo_core.curate.origins import Origins
from veo_core.markdown import table, text
from veo_core.records.dataset import DatasetSpec, FilterQuality
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest


def dataset_card(
    manifest: Manifest,
    spec: DatasetSpec,
    found: Origins,
    curation: Sequence[Outcome],
    filters: Sequence[FilterQuality],
) -> str:
    """The card of a packaged dataset.

    Args:
        manifest: the dataset's, with the table `clips`.
        spec: its buckets.
        found: where its clips come from.
        curation: what each stage decided.
        filters: how well filters work, where that was measured.
    """
    clips = manifest.tables["clips"]
    parts = [
        f"# Video clips with sound, {clips.sha256[:12]}",
        f"{clips.rows} clips ({found.seconds:.0f} s) with captions: {found.splits['train']} for training, "
        f"{found.splits['validation']} for validation. Shots of one source and look-alikes are never split. "
        "`croissant.json` describes the files, and the table `clips` tells source, author, licence and "
        "evidence of rights of each clip.",
        "## Sources",
        table(("Origin", "Clips"), sorted(found.origins.items())),
        f"By {len(found.authors)} authors.",
        "## Licences",
        table(("Licence", "Clips"), sorted(found.licences.items())),
        "## Shapes",
        table(
            ("Bucket", "Seconds", "Training", "Validation"),
            ((b.name, f"{b.seconds:.2f}", b.train_clips, b.validation_clips) for b in spec.buckets),
        ),
        f"{spec.fps:g} pictures and {spec.audio_rate} samples of sound a second.",
        "## Curation",
        "Every item that came in was kept, dropped, failed or quarantined; the stages' ledgers say why, and "
        "`veo why` reads them.",
        curation_table(curation),
        quality_table(filters),
        "## Captions",
        f"Written by {text(', '.join(sorted(found.judges)) or 'nobody')}, from frames and sound.",
        "## People",
        "Footage may show people. Names, e-mail addresses, telephone numbers and plates were scrubbed from "
        "captions. `veo forget` removes a source on request.",
    ]
    return "\n\n".join(parts) + "\n"
