"""The answers of a public summary of training content, each from the run's record or the dataset's table.

Sections and questions: European Commission, AI Office, "Template for the Public Summary of Training Content
for General-Purpose AI models", annex to C(2025) 5235 of 24 July 2025. Nothing is guessed: footage of folders,
buckets and lists is only said to come from there, since the record does not tell how the provider came by it.
"""

import math
from dataclasses import dataclass
from typing import Any

from veo_core.lineage.exports.footage import Footage
from veo_core.lineage.exports.subject import moment
from veo_core.lineage.exports.training_content_record import Answer, Cell, Section, told, untold
from veo_core.records.ledger import Outcome
from veo_core.records.run import RunRecord

_HOUR = 3600
_SIZES = ((10_000, "less than 10,000 hours"), (1_000_000, "10,000 to 1 million hours"))
_LARGEST = "more than 1 million hours"
_TOP_SHARE = 0.1
_FEWEST_DOMAINS = 10

_OWN = "own"
_MADE = "world"
_FETCHED = {"pexels": "the API of Pexels", "list": "the addresses of a list"}
_SUPPLIED = {"folder": "a folder", "bucket": "a bucket"}


@dataclass(frozen=True)
class Known:
    """What the answers rest on.

    Attributes:
        run: the run's record.
        model: the model's name and version; empty where none was registered.
        footage: counts over the training clips.
        outcomes: what each stage of the curation decided, by reason.
    """

    run: RunRecord
    model: str
    footage: Footage
    outcomes: list[Outcome]

    def setting(self, stage: str, *keys: str) -> Any:
        """A key of a stage's configuration; None where the record has none."""
        value: Any = self.run.parameters.get(f"{stage}_config")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def lost(self, stage: str, *rules: str) -> int | str:
        """How many items a stage did not keep, for one of the rules where any are named."""
        own = [row for row in self.outcomes if row.stage == stage]
        if not own:
            return "not on record"
        return sum(row.items for row in own if row.verdict != "kept" and (not rules or row.rule in rules))

    @property
    def made(self) -> bool:
        """Whether every training clip was rendered by the procedural world."""
        return set(self.footage.origins) == {_MADE}


def sections(known: Known) -> list[Section]:
    """The template's sections in their order."""
    return [
        Section(number="1", title="General information"),
        Section(number="1.1", title="Provider identification", answers=_provider()),
        Section(number="1.2", title="Model identification", answers=_model(known)),
        Section(
            number="1.3",
            title="Modalities, overall training data size and other characteristics",
            answers=_size(known),
        ),
        Section(number="2", title="List of data sources"),
        Section(number="2.1", title="Publicly available datasets", answers=_public(known)),
        Section(number="2.2", title="Private non-publicly available datasets obtained from third parties"),
        Section(
            number="2.2.1",
            title="Datasets commercially licensed by rightsholders or their representatives",
            answers=_licensed(known),
        ),
        Section(
            number="2.2.2",
            title="Private datasets obtained from other third parties",
            answers=_private(known),
        ),
        Section(number="2.3", title="Data crawled and scraped from online sources", answers=_scraped(known)),
        Section(number="2.4", title="User data", answers=_user(known)),
        Section(number="2.5", title="Synthetic data", answers=_synthetic(known)),
        Section(number="2.6", title="Other sources of data", answers=_other(known)),
        Section(number="3", title="Data processing aspects"),
        Section(
            number="3.1",
            title="Respect of reservation of rights from text and data mining exception or limitation",
            answers=_reservations(known),
        ),
        Section(number="3.2", title="Removal of illegal content", answers=_illegal(known)),
        Section(number="3.3", title="Other information", answers=_processing(known)),
    ]


def _provider() -> list[Answer]:
    return [
        untold("Provider name and contact details"),
        untold("Authorised representative name and contact details"),
    ]


def _model(known: Known) -> list[Answer]:
    names = "Versioned model name(s)"
    kinds = {
        (stage, key): known.setting(stage, key, "kind")
        for stage, key in (
            ("train_video_vae", "codec"),
            ("train_audio_vae", "codec"),
            ("encode_latents", "text"),
        )
    }
    weights: list[dict[str, Cell]] = [
        {"stage": stage, "kind": str(kind), "path": str(known.setting(stage, key, "path") or "")}
        for (stage, key), kind in kinds.items()
        if kind not in (None, _OWN)
    ]
    if weights:
        depends = told(
            "Model dependencies", "Parts of the model were trained by others and are frozen.", weights
        )
    elif all(kind == _OWN for kind in kinds.values()):
        depends = told(
            "Model dependencies", "None: the run trained every part of the model from random weights."
        )
    else:
        depends = untold("Model dependencies")
    return [
        told(names, known.model) if known.model else untold(names, "The run registered no model."),
        depends,
        untold("Date of placement of the model on the Union market"),
    ]


def _size(known: Known) -> list[Answer]:
    footage = known.footage
    content = (
        "scenes of moving coloured shapes, rendered by a program"
        if known.made
        else "not stated in the record"
    )
    captions = f"{footage.captions} captions of {footage.words} words in all; tokens were not counted"
    rows: list[dict[str, Cell]] = [
        _modality("Text", captions, f"captions written by machine ({_writers(known)})"),
        _modality("Image", "none besides first frames of the clips", "first frames, for image to video"),
        _modality("Audio", _hours(footage.sound_seconds), "the clips' own sound: " + content),
        _modality("Video", _hours(footage.seconds), content),
    ]
    retrieved = sorted(footage.retrieved)
    latest = "Latest date of data acquisition/collection for model training"
    created = f"The run that used the data began on {_day(known.run.created)}."
    shown = sorted({_facts(known)} - {""})
    return [
        told(
            "Modalities, training data size and types of content",
            f"{footage.clips} training clips, after curation.",
            rows,
        ),
        told(latest, f"{retrieved[-1]}, as the sources' rights say. {created}")
        if retrieved
        else untold(latest, created),
        untold("Description of the linguistic characteristics of the overall training data"),
        told("Other relevant characteristics of the overall training data", shown[0])
        if shown
        else untold("Other relevant characteristics of the overall training data"),
    ]


def _modality(name: str, size: str, content: str) -> dict[str, Cell]:
    return {"modality": name, "size": size, "types of content": content}


def _hours(seconds: float) -> str:
    hours = seconds / _HOUR
    span = next((name for limit, name in _SIZES if hours < limit), _LARGEST)
    return f"{span}: {hours:.4g} hours"


def _facts(known: Known) -> str:
    """The shape of prepared clips, where the run's recipe says it."""
    spec = known.setting("prepare", "spec")
    if not isinstance(spec, dict) or not {"short_side", "fps", "frames"} <= spec.keys():
        return ""
    return (
        f"Clips are at most {spec['frames']} frames at {spec['fps']} a second with a short side of "
        f"{spec['short_side']} pixels."
    )


def _day(seconds: float) -> str:
    return moment(seconds)[:10]


def _public(known: Known) -> list[Answer]:
    return [
        _unless_made(known, "Have you used publicly available datasets to train the model?"),
        _unless_made(known, "List of large publicly available datasets", "None."),
        _unless_made(known, "General description of other publicly available datasets", "None."),
    ]


def _unless_made(known: Known, question: str, answer: str = "No.") -> Answer:
    """`answer` where a program rendered all footage; else the record does not tell."""
    return told(question, answer) if known.made else untold(question)


def _licensed(known: Known) -> list[Answer]:
    question = "Have you concluded transactional commercial licensing agreements with rightsholders?"
    if known.made:
        return [told(question, "No.")]
    rows: list[dict[str, Cell]] = [
        {"licence": licence, "sources": sources, "clips": clips}
        for licence, (sources, clips) in sorted(known.footage.licences.items())
    ]
    return [untold(question, "Licences that came with the footage:", rows)]


def _private(known: Known) -> list[Answer]:
    return [
        _unless_made(known, "Have you obtained private datasets from other third parties?"),
        _unless_made(known, "List or general description of these datasets", "None."),
    ]


def _scraped(known: Known) -> list[Answer]:
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
            f"{len(domains)} of {len(known.footage.domains)} hosts of the pages that showed the footage: the "
            f"tenth with the most bytes, at least {_FEWEST_DOMAINS}.",
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


def _user(known: Known) -> list[Answer]:
    return [
        _unless_made(known, "Was data from user interactions with the AI model used to train the model?"),
        _unless_made(
            known, "Was data collected from user interactions with the provider's other services used?"
        ),
    ]


def _synthetic(known: Known) -> list[Answer]:
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


def _other(known: Known) -> list[Answer]:
    used = "Have data sources other than those described in Sections 2.1 to 2.5 been used?"
    told_of = []
    for name, origin in sorted(known.footage.origins.items()):
        hours = f"{origin.seconds / _HOUR:.4g} hours"
        clips = f"{origin.clips} training clips ({hours}) from {origin.sources} sources"
        if name == _MADE:
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


def _reservations(known: Known) -> list[Answer]:
    rows: list[dict[str, Cell]] = [
        {
            "measure": "rights that do not allow training: dropped before use",
            "items": known.lost("collect", "rights"),
        },
        {
            "measure": "C2PA opt-out of training in or beside the file: dropped",
            "items": known.lost("collect", "c2pa_opt_out"),
        },
        {
            "measure": "forgotten at a rightsholder's or a person's request: not taken",
            "items": known.lost("collect", "forgotten"),
        },
    ]
    permissions = known.setting("collect", "permissions")
    admitted = (
        f"Footage was admitted where its rights say of training: {', '.join(map(str, permissions))}."
        if isinstance(permissions, list)
        else "Which footage was admitted is not on record."
    )
    counted = ", ".join(f"{n} {state}" for state, n in sorted(known.footage.permissions.items()))
    changes = len(known.run.changes)
    return [
        untold("Are you a signatory to the Code of Practice for general-purpose AI models?"),
        told(
            "Measures to respect reservations of rights before and during data collection",
            f"{admitted} Sources of training clips by what their rights say: {counted}. The pipeline follows "
            "no links and reads no robots.txt.",
            rows,
        ),
        told(
            "Additional comments",
            f"After the run, its data was changed {changes} times because sources were to be forgotten."
            if changes
            else "Since the run, no source has been forgotten on request.",
        ),
    ]


def _illegal(known: Known) -> list[Answer]:
    lists = known.setting("prepare", "hash_lists", "files")
    hashes = (
        f"{len(lists)} lists of hashes of known content were matched before anything was stored or shown."
        if lists
        else "No list of hashes of known content was configured."
        if isinstance(lists, list)
        else "Whether lists of hashes were matched is not on record."
    )
    enabled = known.setting("safety_filter", "enabled")
    judge = known.setting("safety_filter", "judge", "model")
    judged = {
        True: f"A judge ({judge}) looked at every clip for the categories below.",
        False: "The safety filter was off.",
    }.get(enabled, "Whether the safety filter ran is not on record.")
    categories = known.setting("safety_filter", "categories") if enabled else None
    rows: list[dict[str, Cell]] = [
        {"category": str(category.get("name", "")), "policy": str(category.get("policy", ""))}
        for category in (categories if isinstance(categories, list) else [])
        if isinstance(category, dict)
    ]
    lost = f"Clips that the safety filter did not keep: {known.lost('safety_filter')}."
    return [told("General description of measures taken", f"{hashes} {judged} {lost}", rows)]


def _processing(known: Known) -> list[Answer]:
    rows: list[dict[str, Cell]] = [
        {"stage": row.stage, "verdict": row.verdict, "reason": row.rule, "items": row.items}
        for row in known.outcomes
    ]
    return [
        told(
            "Other relevant information about data processing",
            "Names, e-mail addresses, telephone numbers and plates were scrubbed from captions. What each "
            "stage decided, by reason:",
            rows,
        )
    ]


def _writers(known: Known) -> str:
    names = {
        version if version.startswith(judge) else f"{judge} {version}"
        for what, judge, version in known.footage.writers
        if what == "caption"
    }
    return ", ".join(sorted(names)) or "by whom is not stated"
