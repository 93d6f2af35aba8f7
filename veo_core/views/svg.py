"""Charts as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from veo_core.html import Html, element

_WIDTH, _HEIGHT = 340, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24


@dataclass(frozen=True)
class Series:
    """A line of a chart: its name and its points (x, y) in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(title: str, series: Sequence[Series], *, x_label: str = "step") -> Html:
    """Lines over a common axis; logarithmic where all values are positive and span more than 20 times.

    Points that are not finite are left out.
    """
    drawn = [Series(s.name, _finite(s.points)) for s in series]
    points = [point for s in drawn for point in s.points]
    if not points:
        return element("p", "No finite value was logged.", class_="unknown")
    low, high = min(y for _, y in points), max(y for _, y in points)
    log = low > 0 and high / low > 20
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = (math.log10(low), math.log10(high)) if log else (low, high)

    def place(x: float, y: float) -> tuple[float, float]:
        value = math.log10(y) if log else y
        across = (x - x_low) / ((x_high - x_low) or 1.0)
        up = (value - y_low) / (y_high - y_low) if y_high > y_low else 0.5
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts: list[Html] = []
    for fraction in (0.0, 0.5, 1.0):
        value = y_low + fraction * (y_high - y_low)
        y = _HEIGHT - _BOTTOM - fraction * (_HEIGHT - _TOP - _BOTTOM)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_px(y), y2=_px(y), class_="grid"))
        if y_high > y_low or fraction == 0.5:
            label = number(10**value if log else value)
            parts.append(element("text", label, x=_LEFT - 6, y=_px(y + 3.5), class_="tick end"))
    parts.append(element("text", number(x_low), x=_LEFT, y=_HEIGHT - 8, class_="tick"))
    parts.append(
        element("text", f"{number(x_high)} {x_label}", x=_WIDTH - _RIGHT, y=_HEIGHT - 8, class_="tick end")
    )
    for index, s in enumerate(drawn):
        parts.extend(_line(s, [place(x, y) for x, y in s.points], index))
    described = (
        f"{title}: {number(points[0][1])} to {number(drawn[0].points[-1][1] if drawn[0].points else low)}"
    )
    return element(
        "svg", parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", class_="chart", role="img", aria_label=described
    )


def stacked_bar(parts: Sequence[tuple[str, int]], total: int) -> Html:
    """One horizontal bar of (class, count) parts, out of `total`."""
    children: list[Html] = []
    x = 0.0
    for name, count in parts:
        width = 100 * count / max(total, 1)
        if count:
            children.append(element("rect", x=_px(x), y=0, width=_px(width), height=10, class_=f"bar {name}"))
        x += width
    label = ", ".join(f"{count} {name}" for name, count in parts if count) or "nothing"
    return element(
        "svg",
        children,
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        class_="stack",
        role="img",
        aria_label=label,
    )


def number(value: float) -> str:
    """A figure in at most a few characters."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10_000 or size < 0.001:
        return f"{value:.1e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _line(series: Series, placed: Sequence[tuple[float, float]], index: int) -> list[Html]:
    if not placed:
        return []
    path = " ".join(f"{_px(x)},{_px(y)}" for x, y in _thin(placed))
    x, y = placed[-1]
    title = element("title", f"{series.name}: {number(series.points[-1][1])}")
    return [
        element("polyline", title, points=path, class_=f"line s{index % 4}"),
        element("circle", title, cx=_px(x), cy=_px(y), r=2.6, class_=f"dot s{index % 4}"),
    ]


def _thin(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """At most about `most` points; each kept step shows its lowest and highest value."""
    if len(points) <= most:
        return list(points)
    size = 2 * len(points) / most
    kept: list[tuple[float, float]] = []
    for start in range(most // 2):
        bucket = points[int(start * size) : int((start + 1) * size)]
        kept.extend(sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}))
    return [*kept, points[-1]]


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
