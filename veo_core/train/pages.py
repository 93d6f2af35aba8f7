"""What the pages of a platform show of a training stage."""

from veo_core.publish import View, Views
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.views.curves import curves
from veo_core.views.page import page, table
from veo_core.views.svg import number


def training_page(manifest: Manifest, store: Store) -> View:
    """Curves over the steps, the figures at the end, and the files of the model."""
    history = store.get_bytes(manifest.files["history"]).decode()
    figures = [(name, number(value)) for name, value in sorted(manifest.metrics.items())]
    files = [(name, f"{ref.bytes}", ref.sha256) for name, ref in sorted(manifest.files.items())]
    return page(
        f"Training of {manifest.stage.replace('_', ' ')}",
        f"manifest {manifest.digest[:12]}",
        {
            "Curves": curves(history),
            "Figures": table(("Figure", "Value"), figures),
            "Files": table(("File", "Bytes", "sha256"), files),
        },
    )


VIEWS: Views = {"html": training_page}
