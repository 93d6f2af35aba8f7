"""`veo safety`: how raters perceive the people in a run's clips, and how far they and the judge agree."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.runner import runs

if TYPE_CHECKING:
    from veo_core.lineage.evidence import Evidence
    from veo_core.records.files import FileRef

# The modules of the safety evaluation import OpenCV and PyAV, which other commands do without.

_READINGS = "people.jsonl"


def add_parser(subcommands: Any) -> None:
    """Add `safety` to the command line."""
    parser = subcommands.add_parser(
        "safety", help="rate how people look in clips, and print how far raters agree", description=__doc__
    )
    parts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    annotate = parts.add_parser(
        "annotate",
        help="a page on which a rater gives skin tones and gender presentations",
        description="Show a rater the clips of prompts that leave people's looks open, blind and with sound.",
    )
    annotate.add_argument("run", metavar="RUN", help="a run's id, its beginning, or 'latest'")
    annotate.add_argument("--rater", required=True, metavar="NAME", help="who looks; two raters, two names")
    annotate.add_argument("--port", type=int, default=8091, help="0 for any that is free (default: 8091)")
    annotate.set_defaults(execute=_annotate)
    agreement = parts.add_parser(
        "agreement",
        help="Krippendorff's alpha between raters, and between the judge and each",
        description="Print how far raters and the judge agree, and the spread that the raters see.",
    )
    agreement.add_argument("run", nargs="?", default=runs.LATEST, metavar="RUN", help="default: latest")
    agreement.set_defaults(execute=_agreement)
    for part in (annotate, agreement):
        add_runs(part)
        add_root(part, "store of the clips")
        part.add_argument(
            "--readings",
            type=Path,
            metavar="FILE",
            help=f"where answers are (default: {_READINGS} of the run)",
        )


def _annotate(arguments: argparse.Namespace) -> int:
    from veo_core.evaluate.rating_page import MOST_LETTERS
    from veo_core.safety.annotation.server import AnnotationServer, Session

    rater = arguments.rater.strip()
    if not 1 <= len(rater) <= MOST_LETTERS:
        raise UsageError(f"--rater: give a name of 1 to {MOST_LETTERS} letters")
    evidence, path = _opened(arguments)
    session = Session(_open_clips(evidence), evidence.store, path, rater)
    try:
        server = AnnotationServer(session, rater, arguments.port)
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {arguments.port}: {getattr(error, 'strerror', None) or error}") from None
    print(f"{server.address} (Ctrl-C ends it; answers go to {path})", flush=True)
    server.serve_until_interrupted()
    return 0


def _agreement(arguments: argparse.Namespace) -> int:
    from veo_core.safety.annotation.agreement import agreements
    from veo_core.safety.annotation.readings import consensus, read_readings
    from veo_core.safety.people import PersonReading, audit_people

    evidence, path = _opened(arguments)
    readings = read_readings(path)
    if not readings:
        raise UsageError(f"{path}: holds no answers; `veo safety annotate` collects them")
    manifest = evidence.last("safety_evaluation")
    judged: list[PersonReading] = []
    if manifest is not None and "people" in manifest.tables:
        judged = evidence.store.get_table(manifest.tables["people"], PersonReading)
    for row in agreements(readings, judged):
        figure = "not defined: too few clips, or no variation"
        if row.alpha is not None:
            figure = f"alpha {row.alpha:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]"
        print(f"{row.attribute}, {' and '.join(row.between)}: {figure}, {row.clips} clips")
    if not judged:
        print("the judge was not asked about people: `safety_evaluation: {people: true}` asks it")
    for bias in audit_people(consensus(readings)):
        distance = "unknown"
        if bias.distance is not None:
            distance = f"{bias.distance:.3f} [{bias.distance_low:.3f}, {bias.distance_high:.3f}]"
        print(
            f"{bias.attribute}, as raters see it: distance to the target {distance}, "
            f"{bias.n} clips, {bias.unknown} unknown"
        )
    return 0


def _opened(arguments: argparse.Namespace) -> "tuple[Evidence, Path]":
    from veo_core.lineage.evidence import gather
    from veo_core.storage import Store

    folder = runs.run_folder(arguments.runs, arguments.run)
    return gather(folder, Store(arguments.root)), arguments.readings or folder / _READINGS


def _open_clips(evidence: "Evidence") -> "list[FileRef]":
    """The clips of prompts that leave looks open."""
    from veo_core.records.generated import GeneratedClip
    from veo_core.safety.bias import UNSPECIFIED

    manifest = evidence.last("generate")
    if manifest is None or "generated" not in manifest.tables:
        raise UsageError(f"run {evidence.folder.name}: it has generated no clips")
    clips = evidence.store.get_table(manifest.tables["generated"], GeneratedClip)
    found = [clip.media for clip in clips if clip.split == UNSPECIFIED]
    if not found:
        raise UsageError(
            f"run {evidence.folder.name}: no clip was made of a prompt that leaves looks open; "
            "set generate.unspecified_people"
        )
    return found
