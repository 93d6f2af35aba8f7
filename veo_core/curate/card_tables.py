"""What the cards of datasets and of models both say of the curation, in Markdown."""

from collections.abc import Sequence

from veo_core.curate.funnel import by_stage
from veo_core.markdown import table
from veo_core.records.dataset import FilterQuality
from veo_core.records.ledger import Outcome


def curation_table(rows: Sequence[Outcome]) -> str:
    """What each stage received and kept, and why the rest was not kept."""
    return table(("Stage", "In", "Kept", "Not kept, by reason"), by_stage(rows))


def quality_table(filters: Sequence[FilterQuality]) -> str:
    """Precision and recall of the filters, where they were measured."""
    if not filters:
        return (
            "Precision and recall of the filters were not measured on this footage; `make bench-curate` "
            "measures them on clips of which every flaw is known."
        )
    rows = ((f.filter, f"{f.precision:.3f}", f"{f.recall:.3f}", f.n, f.evidence) for f in filters)
    return table(("Filter", "Precision", "Recall", "Clips", "Evidence"), rows)
