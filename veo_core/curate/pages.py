"""What the pages of a platform show of a packaged dataset."""

from veo_core.curate.funnel import passed_on
from veo_core.html import Html, element
from veo_core.publish import View, Views
from veo_core.records.clip import Clip
from veo_core.records.dataset import DatasetSpec
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.views.funnel import funnel
from veo_core.views.gallery import Card, gallery, spread
from veo_core.views.page import page, table


def dataset_note(manifest: Manifest, store: Store) -> View:
    """The dataset card, in Markdown."""
    return View(store.get_bytes(manifest.files["card.md"]))


def dataset_page(manifest: Manifest, store: Store) -> View:
    """A dataset's clips to play, the funnel that led to them, and their shapes."""
    spec = DatasetSpec.model_validate_json(store.get_bytes(manifest.files["spec.json"]))
    rows = [
        (
            bucket.name,
            f"{bucket.width} x {bucket.height}, {bucket.frames} frames",
            f"{bucket.seconds:.2f} s",
            bucket.train_clips,
            bucket.validation_clips,
        )
        for bucket in spec.buckets
    ]
    rates = f"{spec.fps:g} pictures and {spec.audio_rate} samples of sound a second"
    return page(
        f"Dataset of {manifest.rows} clips",
        f"{rates} · manifest {manifest.digest[:12]}",
        {
            "Clips": gallery(_cards(manifest, store), store, of=manifest.rows),
            "Funnel": funnel(passed_on(manifest, store)),
            "Shapes": table(("Bucket", "Pictures", "Time", "Training", "Validation"), rows),
        },
    )


VIEWS: Views = {"markdown": dataset_note, "html": dataset_page}


def _cards(manifest: Manifest, store: Store) -> list[Card]:
    """Packed clips, evenly spread over the table."""
    wanted = set(spread(manifest.rows))
    clips = (
        clip
        for index, clip in enumerate(store.stream_table(manifest.tables["clips"], Clip))
        if index in wanted
    )
    return [_card(clip) for clip in clips]


def _card(clip: Clip) -> Card:
    caption = clip.annotation.caption if clip.annotation else clip.source.caption
    facts = f"{clip.facts.width} x {clip.facts.height}, {clip.facts.seconds:.1f} s"
    rights = clip.source.licence_id or "no licence stated"
    return Card(
        media=clip.media,
        title=caption or clip.source.name,
        notes=[
            f"{facts} · {clip.split or 'not packed'} · {clip.source.name} · {rights}",
            _identity(clip),
        ],
    )


def _identity(clip: Clip) -> Html:
    return element("p", element("code", clip.clip_id[:12]), title=clip.clip_id, class_="hint")
