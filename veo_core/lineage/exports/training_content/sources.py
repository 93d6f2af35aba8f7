"""The template's section 2: where the data comes from.

Nothing is guessed: footage of folders, buckets and lists is only said to come from there, since the record
does not tell how the provider came by it.
"""

import math

from veo_core.lineage.exports.training_content.known import HOUR, MADE, Known
from veo_core.lineage.exports.training_content.record import Answer, Cell, told, untold

_TOP_SHARE = 0.1
_FEWEST_DOMAINS = 10
_FETCHED = {"pexels": "the API of Pexels", "list": "the addresses of a list"}
_SUPPLIED = {"folder": "a folder", "bucket": "a bucket"}


def public(known: Known) -> list[Answer]:
    """Section 2.1."""
    return [
        _unless_made(known, "Have you used publicly available datasets to train the model?"),
        _unless_made(known, "List of large publicly available datasets", "None."),
        _unless_made(known, "General description of other publicly available datasets", "None."),
    ]


def _unless_made(known: Known, question: str, answer: str = "No.") -> Answer:
    """`answer` where a program rendered all footage; else the record does not tell."""
    return told(question, answer) if known.made else untold(question)


def licensed(known: Known) -> list[Answer]:
    """Section 2.2.1."""
    question = "Have you concluded transactional commercial licensing agreements with rightsholders?"
    if known.made:
        return [told(question, "No.")]
    rows: list[dict[str, Cell]] = [
        {"licence": licence, "sources": sources, "clips": clips}
        for licence, (sources, clips) in sorted(known.footage.licences.items())
    ]
    permission = known.setting("collect", "pexels", "written_permission")
    written = f"For footage of Pexels the recipe names the permission {permission!r}. " if permission else ""
    return [untold(question, f"{written}Licences that came with the footage:", rows)]


def private(known: Known) -> list[Answer]:
    """Section 2.2.2."""
    return [
        _unless_made(known, "Have you obtained private datasets from other third parties?"),
        _unless_made(known, "List or general description of these datasets", "None."),
    ]


def scraped(known: Known) -> list[Answer]:
    """Section 2.3."""
    crawlers = "Were crawlers used by the provider or on its behalf?"
    domains = _domains(known)
    shown = "Summary of the most relevant domain names"
    if known.made:
        return [told(crawlers, "No.")]
    fetched = [
        f"{origin.clips} training clips come from {_FETCHED[name]}"
        for name, origin in sorted(known.footage.origins.items())
        if name in _FETCHED
    ]
    note = (
        f"{'; '.join(fetched)}, which the pipeline downloaded. It follows no links; whether a crawler found "
        "the addresses is not on record."
        if fetched
        else "The pipeline downloaded none of the training clips."
    )
    span = sorted(known.footage.retrieved)
    period = "Period of data collection"
    queries = known.setting("collect", "pexels", "queries")
    content = "Description of the type of content and online sources"
    return [
        untold(crawlers, note),
        told(period, f"{span[0]} to {span[-1]}, as the sources' rights say.") if span else untold(period),
        told(content, f"Searched for at Pexels: {', '.join(map(str, queries))}.")
        if isinstance(queries, list)
        else untold(content),
        told(
            shown,
            f"{len(domains)} of {len(known.footage.domains)} hosts of pages that showed footage: those with "
            f"the most bytes of it, a tenth of all but at least {_FEWEST_DOMAINS}.",
            domains,
        )
        if domains
        else untold(shown, "The rights of the footage name no pages."),
    ]


def _domains(known: Known) -> list[dict[str, Cell]]:
    """The hosts with the most bytes of source files: a tenth of all, as the template asks for."""
    footage = known.footage
    ranked = sorted(footage.domains.items(), key=lambda entry: (-entry[1], entry[0]))
    count = max(_FEWEST_DOMAINS, math.ceil(_TOP_SHARE * len(ranked)))
    return [
        {"domain": name, "sources": footage.domain_sources[name], "bytes": size}
        for name, size in ranked[:count]
    ]


def user(known: Known) -> list[Answer]:
    """Section 2.4."""
    return [
        _unless_made(known, "Was data from user interactions with the AI model used to train the model?"),
        _unless_made(
            known, "Was data collected from user interactions with the provider's other services used?"
        ),
    ]


def synthetic(known: Known) -> list[Answer]:
    """Section 2.5."""
    used = "Was synthetic AI-generated data created by the provider or on its behalf to train the model?"
    writers = known.footage.writers
    if not writers:
        return [untold(used)]
    rows: list[dict[str, Cell]] = [
        {"data": what, "model": judge, "version": version, "clips": clips}
        for (what, judge, version), clips in sorted(writers.items())
    ]
    pictures = "a program, no AI, rendered them" if known.made else "the record does not tell"
    return [
        told(used, f"Captions (text) were written by machine. As to pictures and sound, {pictures}."),
        told(
            "Models that were used to generate synthetic data",
            "By the name that the run's recipe gives:",
            rows,
        ),
        untold("Whether these models are general-purpose AI models on the market, and their own summaries"),
    ]


def other(known: Known) -> list[Answer]:
    """Section 2.6."""
    used = "Have data sources other than those described in Sections 2.1 to 2.5 been used?"
    told_of = []
    for name, origin in sorted(known.footage.origins.items()):
        hours = f"{origin.seconds / HOUR:.4g} hours"
        clips = f"{origin.clips} training clips ({hours}) from {origin.sources} sources"
        if name == MADE:
            told_of.append(
                f"{clips} were filmed by the procedural world, a program that renders moving shapes with "
                f"sound from a seed ({known.setting('collect', 'world', 'seed')})."
            )
        elif name in _SUPPLIED:
            told_of.append(
                f"{clips} were supplied in {_SUPPLIED[name]}; how they got there is not on record."
            )
    if not told_of:
        return [untold(used)]
    return [told(used, "Yes."), told("Narrative description of these data sources", " ".join(told_of))]
