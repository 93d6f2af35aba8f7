"""The evaluation's figures with their intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence

from veo_core.evaluate.metrics.catalogue import BY_NAME
from veo_core.evaluate.records import ConfusionRow, Difference, Promotion, SummaryRow
from veo_core.html import Html, element, join
from veo_core.lineage.evidence import Evidence
from veo_core.records.manifest import Manifest
from veo_core.views.svg import interval_mark, number

Place = tuple[str, str]

_TITLES = {
    "playable_with_sound": "Plays with sound",
    "sync_share_50ms": "Contacts that sound within 50 ms",
    "sync_share_100ms": "Contacts that sound within 100 ms",
    "sync_error": "Error of those that do",
    "sync_lag": "Lag of sound behind picture",
    "false_onsets": "Sounds without a contact",
    "contacts": "Contacts seen",
    "first_frame_psnr": "First picture against the given one",
    "first_frame_codec_psnr": "First picture against the given one after the codec",
    "codec_psnr": "The given one after the codec",
    "av_align": "Peaks of motion that sound, and the other way round",
    "identity": "Frames that show the same objects",
    "mel_frechet": "Fréchet distance of log-mel spectra",
    "mel_mmd": "Kernel distance of log-mel spectra",
    "memorised": "Copies of training clips",
    "memorised_searched": "Training clips that were searched for them",
    "vae_psnr": "Pictures rebuilt by the video VAE",
    "vae_ssim": "Their structural similarity",
    "vae_stft": "STFT distance of sounds rebuilt by the audio VAE",
    "motion": "Motion",
    "flicker": "Flicker",
    "loudness": "Loudness",
    "clipped": "Clipped samples",
}
_PLACES: dict[Place, str] = {
    ("seen", "t2v"): "Seen",
    ("held_out", "t2v"): "Held-out",
    ("two_objects", "t2v"): "Two objects",
    ("custom", "t2v"): "Own prompts",
    ("all", "t2v"): "From text",
    ("validation", "i2v"): "From an image",
    ("all", "i2v"): "From an image",
    ("validation", "v2a"): "From a video",
    ("all", "v2a"): "From a video",
    ("real", ""): "Real clips",
    ("training", ""): "Training clips",
}


def metrics_section(evidence: Evidence) -> Html | None:
    """The summary of the last evaluation; nothing where there was none."""
    rows: list[SummaryRow] = []
    last: Manifest | None = None
    for _, manifest in evidence.with_table("summary"):
        rows, last = evidence.table(manifest.tables["summary"], SummaryRow), manifest
    if not rows or last is None:
        return None
    left_out = [row for row in rows if row.note]
    rows = [row for row in rows if not row.note]
    following = [row for row in rows if row.metric.startswith("following_")]
    others = [row for row in rows if not row.metric.startswith("following_")]
    return element(
        "section",
        element("h2", "Evaluation"),
        element(
            "p",
            "Each figure with its 95 % interval and the number n of clips behind it. ",
            element("span", class_="key reference"),
            " the same figure on real clips. ",
            element("span", class_="key control"),
            " chance: the same figure after prompts or sounds were exchanged between clips.",
            class_="hint",
        ),
        _matrix("Prompts followed", following) if following else None,
        _matrix("Picture and sound", others) if others else None,
        _not_run(left_out) if left_out else None,
        _confusions(evidence, last),
        _promotion(evidence),
        id="evaluation",
    )


def _not_run(rows: Sequence[SummaryRow]) -> Html:
    """The metrics without a figure, and what they need."""
    return element(
        "details",
        element("summary", f"{len(rows)} metrics were not run"),
        element("ul", [element("li", element("code", row.metric), f": {row.note}") for row in rows]),
    )


def _confusions(evidence: Evidence, manifest: Manifest) -> Html | None:
    """What the detectors found where prompts asked for something, over all clips."""
    if "confusion" not in manifest.tables:
        return None
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in evidence.table(manifest.tables["confusion"], ConfusionRow):
        counts[row.attribute, row.wanted, row.seen] += row.count
    if not counts:
        return None
    return element(
        "details",
        element("summary", "Confusion: what was asked for against what was found"),
        [_confusion(name, counts) for name in dict.fromkeys(attribute for attribute, _, _ in counts)],
    )


def _confusion(attribute: str, counts: Mapping[tuple[str, str, str], int]) -> Html:
    own = {(wanted, seen): n for (name, wanted, seen), n in counts.items() if name == attribute}
    wanted, seen = (sorted({pair[side] for pair in own}) for side in (0, 1))
    head = [
        element("th", attribute, scope="col"),
        *(element("th", v or "nothing", scope="col") for v in seen),
    ]
    body = [
        element(
            "tr",
            element("th", want, scope="row"),
            [element("td", own.get((want, see), 0), class_="num") for see in seen],
        )
        for want in wanted
    ]
    table = element("table", element("thead", element("tr", head)), element("tbody", body), class_="metrics")
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=attribute)


def _promotion(evidence: Evidence) -> Html | None:
    """The comparison with the version promoted before, and what follows from it; none before registration."""
    verdicts = [evidence.record(m.files["promotion"], Promotion) for _, m in evidence.with_file("promotion")]
    if not verdicts or verdicts[-1] is None:
        return None
    verdict = verdicts[-1]
    decided = [found for found in verdict.differences if found.verdict != "undecided"]
    rest = [found for found in verdict.differences if found.verdict == "undecided"]
    return join(
        element("h3", "Against the version promoted before"),
        element(
            "p", element("strong", "Promoted" if verdict.promote else "Not promoted"), f": {verdict.reason}."
        ),
        _differences(decided) if decided else None,
        element("details", element("summary", f"{len(rest)} undecided"), _differences(rest))
        if rest
        else None,
    )


def _differences(rows: Sequence[Difference]) -> Html:
    titles = (
        "Metric",
        "Clips",
        "Candidate",
        "Before",
        "Difference, 95 %",
        "Prompts",
        "p, adjusted",
        "Verdict",
    )
    body = [
        element(
            "tr",
            element("th", _words(row.metric), scope="row"),
            element("td", _place((row.split, row.mode))),
            element("td", figure(row.candidate, BY_NAME[row.metric].unit), class_="num"),
            element("td", figure(row.baseline, BY_NAME[row.metric].unit), class_="num"),
            element("td", f"{number(row.ci_low)} – {number(row.ci_high)}", class_="num"),
            element("td", row.prompts, class_="num"),
            element("td", f"{row.p_value:.3f}", class_="num"),
            element("td", row.verdict),
        )
        for row in rows
    ]
    head = element("tr", [element("th", title, scope="col") for title in titles])
    table = element("table", element("thead", head), element("tbody", body), class_="metrics")
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Differences")


def _matrix(title: str, rows: Sequence[SummaryRow]) -> Html:
    """A table with a row for each metric and a column for each group of clips."""
    found = dict.fromkeys((row.split, row.mode) for row in rows)
    places = [*(place for place in _PLACES if place in found), *(p for p in found if p not in _PLACES)]
    cells = {(row.metric, (row.split, row.mode)): row for row in rows}
    head = [
        element("th", title, scope="col"),
        *(element("th", _place(place), scope="col") for place in places),
    ]
    body = [
        element(
            "tr",
            element("th", _words(metric), scope="row"),
            [_cell(cells.get((metric, place)), _top(metric, rows)) for place in places],
        )
        for metric in dict.fromkeys(row.metric for row in rows)
    ]
    return element(
        "div",
        element("table", element("thead", element("tr", head)), element("tbody", body), class_="metrics"),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=title,
    )


def _cell(row: SummaryRow | None, top: float) -> Html:
    if row is None:
        return element("td")
    if row.value is None or row.ci_low is None or row.ci_high is None:
        return element("td", "nothing to measure", class_="unknown")
    marks = [(n, f) for n, f in (("reference", row.reference), ("control", row.control)) if f is not None]
    chance = "" if row.control is None else f", chance {_brief(row.control, row.unit)}"
    return element(
        "td",
        element("strong", figure(row.value, row.unit)),
        interval_mark(row.ci_low, row.value, row.ci_high, marks=marks, top=top) if row.ci_low >= 0 else None,
        element("small", join(_range(row), f", n = {row.n}", chance)),
        class_="num",
    )


def _top(metric: str, rows: Sequence[SummaryRow]) -> float:
    """The end of a metric's scale."""
    mine = [row for row in rows if row.metric == metric]
    if mine[0].unit == "share":
        return 1.0
    figures = [f for row in mine for f in (row.ci_high, row.reference, row.control) if f is not None]
    return max(figures, default=1.0) if mine[0].unit != "s" else max([0.1, *figures])


def _range(row: SummaryRow) -> str:
    low, high = _brief(row.ci_low, row.unit), _brief(row.ci_high, row.unit)
    return f"{low.removesuffix(' %').removesuffix(' ms')} – {high}"


def _brief(value: float | None, unit: str) -> str:
    """A figure in few letters."""
    if value is not None and unit == "share":
        return f"{100 * value:.0f} %"
    return figure(value, unit if unit == "s" else "")


def figure(value: float | None, unit: str) -> str:
    """A figure in its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "s":
        return f"{1000 * value:.0f} ms"
    return f"{number(value)} {unit}".strip()


def _place(place: Place) -> str:
    return _PLACES.get(place, " ".join(place).replace("_", " ").strip())


def _words(metric: str) -> str:
    return _TITLES.get(metric, metric.removeprefix("following_").replace("_", " ").capitalize())
