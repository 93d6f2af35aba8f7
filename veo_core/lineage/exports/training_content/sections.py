"""The sections of a public summary of training content, answered from a run's record and its dataset's table.

Sections and questions: European Commission, AI Office, "Template for the Public Summary of Training Content
for General-Purpose AI models", annex to C(2025) 5235 of 24 July 2025.
"""

from veo_core.lineage.exports.subject import moment
from veo_core.lineage.exports.training_content import sources
from veo_core.lineage.exports.training_content.known import HOUR, Known
from veo_core.lineage.exports.training_content.record import Answer, Cell, Section, told, untold

_SIZES = ((10_000, "less than 10,000 hours"), (1_000_000, "10,000 to 1 million hours"))
_LARGEST = "more than 1 million hours"
_OWN = "own"


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
        Section(number="2.1", title="Publicly available datasets", answers=sources.public(known)),
        Section(number="2.2", title="Private non-publicly available datasets obtained from third parties"),
        Section(
            number="2.2.1",
            title="Datasets commercially licensed by rightsholders or their representatives",
            answers=sources.licensed(known),
        ),
        Section(
            number="2.2.2",
            title="Private datasets obtained from other third parties",
            answers=sources.private(known),
        ),
        Section(
            number="2.3", title="Data crawled and scraped from online sources", answers=sources.scraped(known)
        ),
        Section(number="2.4", title="User data", answers=sources.user(known)),
        Section(number="2.5", title="Synthetic data", answers=sources.synthetic(known)),
        Section(number="2.6", title="Other sources of data", answers=sources.other(known)),
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
    dependencies = "Model dependencies"
    if weights:
        depends = told(dependencies, "Parts of the model were trained by others and are frozen.", weights)
    elif all(kind == _OWN for kind in kinds.values()):
        depends = told(dependencies, "None: the run trained every part of the model from random weights.")
    else:
        depends = untold(dependencies)
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
    created = f"The run that used the data began on {moment(known.run.created)[:10]}."
    shape, characteristics = _shape(known), "Other relevant characteristics of the overall training data"
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
        told(characteristics, shape) if shape else untold(characteristics),
    ]


def _modality(name: str, size: str, content: str) -> dict[str, Cell]:
    return {"modality": name, "size": size, "types of content": content}


def _hours(seconds: float) -> str:
    hours = seconds / HOUR
    span = next((name for limit, name in _SIZES if hours < limit), _LARGEST)
    return f"{span}: {hours:.4g} hours"


def _shape(known: Known) -> str:
    """The shape of prepared clips, where the run's recipe says it."""
    spec = known.setting("prepare", "spec")
    if not isinstance(spec, dict) or not {"short_side", "fps", "frames"} <= spec.keys():
        return ""
    return (
        f"Clips are at most {spec['frames']} frames at {spec['fps']} a second with a short side of "
        f"{spec['short_side']} pixels."
    )


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
