"""Confusion matrices and curves in the form that the pages of Kubeflow Pipelines and Vertex AI draw.

The form is that of `kfp.dsl.ClassificationMetrics`, after Vertex AI's schema
gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from veo_core.publish import View
from veo_core.records.base import canonical_json

NOTHING = "nothing"


class Point(NamedTuple):
    """One point of a curve: both shares at a threshold, 0 to 1."""

    threshold: float
    false_positive_rate: float
    recall: float


def confusion(counts: Mapping[tuple[str, str], int]) -> View:
    """A matrix of counts of (true value, value found); an empty value is shown as "nothing".

    Rows are true values, columns what was found, as in Vertex AI and scikit-learn. Kubeflow's page writes
    "True label" along the columns all the same. Without counts there is no matrix, and nothing is drawn.
    """
    values = sorted({value for pair in counts for value in pair}, key=lambda value: (not value, value))
    if not values:
        return _view({})
    rows = [[counts.get((true, found), 0) for found in values] for true in values]
    return _view(
        {
            "confusionMatrix": {
                "annotationSpecs": [{"displayName": value or NOTHING} for value in values],
                "rows": [{"row": row} for row in rows],
            }
        }
    )


def curve(points: Iterable[Point]) -> View:
    """A curve of recall over the false positive rate; without points nothing is drawn."""
    drawn = [
        {
            "confidenceThreshold": point.threshold,
            "falsePositiveRate": point.false_positive_rate,
            "recall": point.recall,
        }
        for point in points
    ]
    return _view({"confidenceMetrics": drawn} if drawn else {})


def _view(metadata: dict[str, Any]) -> View:
    return View(canonical_json(metadata), metadata)
