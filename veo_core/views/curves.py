"""Training curves from a stage's history."""

import json
from collections import defaultdict

from veo_core.html import Html, element, join
from veo_core.views.svg import Series, line_chart, number

_VALIDATION = ("validation/", "validation_", "val/", "val_", "ema/", "ema_")

_MEANS = ("gradient", "learning_rate")


def curves(history: str) -> Html:
    """A chart for each figure of a history, and those of the optimiser apart.

    Args:
        history: a JSON object a line, each with its `step`; a line that is cut off is left out.
    """
    families = _families(_scalars(history))
    charts = [_chart(title, families[title]) for title in sorted(families, key=_order) if title not in _MEANS]
    means = [_chart(title, families[title]) for title in _MEANS if title in families]
    return join(
        element("div", charts, class_="charts")
        if charts
        else element("p", "Nothing is logged.", class_="unknown"),
        element("details", element("summary", "Optimiser"), element("div", means, class_="charts"))
        if means
        else None,
    )


def _scalars(lines: str) -> dict[str, list[tuple[float, float]]]:
    """Points (step, value) of every scalar; a line that is cut off is left out."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in lines.splitlines():
        try:
            row = json.loads(line)
            step = float(row["step"])
        except (ValueError, KeyError, TypeError):
            continue
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                points[name].append((step, float(value)))
    return points


def _families(scalars: dict[str, list[tuple[float, float]]]) -> dict[str, list[Series]]:
    """Scalars by chart: a training figure and its validation share one."""
    families: dict[str, list[Series]] = defaultdict(list)
    for name, points in scalars.items():
        prefix = next((prefix for prefix in _VALIDATION if name.startswith(prefix)), "")
        base = name.removeprefix(prefix)
        families[base if base in scalars else name].append(Series(name, points))
    return families


def _order(title: str) -> tuple[bool, str]:
    """The loss first, then what it is made of."""
    return (title != "loss", title)


def _chart(title: str, series: list[Series]) -> Html:
    ordered = sorted(series, key=lambda s: s.name != title)
    last = [
        element("span", element("i", class_=f"swatch s{index % 4}"), f" {s.name} {number(s.points[-1][1])}")
        for index, s in enumerate(ordered)
    ]
    return element(
        "figure",
        element("figcaption", element("strong", title), element("span", last, class_="last")),
        line_chart(title, ordered),
    )
