"""`veo eval`: score a folder of clips, list the metrics, compare two systems by eye."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from veo_core.errors import UsageError
from veo_core.records.generated import Mode

if TYPE_CHECKING:
    from veo_core.evaluate.records import Measured, SummaryRow

# The modules of evaluation import OpenCV and PyAV, which other commands do without: they are imported where
# needed.


def add_parser(subcommands: Any) -> None:
    """Add `eval` to the command line."""
    parser = subcommands.add_parser(
        "eval", help="score clips, list metrics, compare two systems", description=__doc__
    )
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="clips of any system")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="another system's clips, compared prompt by prompt"
    )
    parser.add_argument(
        "--real", type=Path, metavar="FOLDER", help="real clips: floors, and what distances are measured from"
    )
    parser.add_argument(
        "--networks",
        type=Path,
        metavar="FILE",
        help="YAML: clip, lpips, video, audio, sync, each with path, sha256",
    )
    parser.add_argument(
        "--mode", choices=get_args(Mode), default="t2v", help="what was given besides text (default: t2v)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write scores.parquet and summary.json there"
    )
    _add_suite(parser)
    parser.set_defaults(execute=_score)
    parts = parser.add_subparsers(title="more", metavar="")
    parts.add_parser("metrics", help="list the metrics").set_defaults(execute=_list)
    page = parts.add_parser("side-by-side", help="a page on which people compare two systems, blind")
    page.add_argument("first", type=Path, metavar="A", help="folder of clips")
    page.add_argument("second", type=Path, metavar="B", help="folder of clips of the same prompts")
    page.add_argument(
        "--votes", type=Path, default=Path("votes.jsonl"), metavar="FILE", help="where votes go"
    )
    page.add_argument("--port", type=int, default=8090, help="0 for any that is free (default: 8090)")
    page.add_argument(
        "--result", action="store_true", help="print the win rates of the votes so far, and end"
    )
    _add_suite(page)
    page.set_defaults(execute=_side_by_side)


def _add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", metavar="FILE", help="prompts: .txt, .csv or .jsonl, a file or URI; MovieGenBench, too"
    )
    parser.add_argument("--suite-sha256", default="", metavar="HEX", help="the digest that it must have")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")


def _list(arguments: argparse.Namespace) -> int:
    from veo_core.evaluate.metrics.catalogue import listing

    print(listing())
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from veo_core.evaluate.compare import differences_of
    from veo_core.evaluate.evaluate import missing
    from veo_core.evaluate.folder import clips_of, scoring
    from veo_core.evaluate.networks import NetworksConfig, open_networks
    from veo_core.evaluate.summary import summarise
    from veo_core.generate.suites import read_suite

    if arguments.clips is None:
        raise UsageError("eval: nothing to score: give --clips FOLDER, or see `veo eval --help`")
    suite = read_suite(arguments.suite, sha256=arguments.suite_sha256) if arguments.suite else None
    networks = NetworksConfig.load(arguments.networks) if arguments.networks else NetworksConfig()
    open_networks(networks)
    made = clips_of(arguments.clips, suite)
    others = clips_of(arguments.against, suite) if arguments.against else []
    real = clips_of(arguments.real, None) if arguments.real else []
    split = suite.name if suite else "custom"
    if suite is not None:
        answered = len({clip.prompt.text for clip in made})
        print(f"{suite.name}: {answered} of {suite.different} different prompts answered, {len(made)} clips")
    with scoring(arguments.seed) as scorer:
        given = {"split": split, "mode": arguments.mode, "networks": networks}
        measured = scorer.generated(made, **given)
        floor = scorer.real(real, networks=networks) if real else []
        rivals = scorer.generated(others, **given) if others else []
    everything = [*measured, *floor]
    rows = summarise(
        [row.score for row in everything],
        seed=arguments.seed,
        features=[features for row in everything for features in row.features],
        missing=missing(networks),
    )
    _print_rows(rows)
    if rivals:
        differences = differences_of(
            [row.score for row in measured], [row.score for row in rivals], seed=arguments.seed
        )
        for found in differences:
            print(
                f"{found.metric} ({found.split}): {found.candidate:.3f} against {found.baseline:.3f}, "
                f"difference [{found.ci_low:.3f}, {found.ci_high:.3f}], p = {found.p_value:.3f}: "
                f"{found.verdict}"
            )
        if not differences:
            print("no metric has enough prompts that both systems answered")
    if arguments.out:
        _write(arguments.out, measured, rows, suite.sha256 if suite else "")
    return 0


def _print_rows(rows: "list[SummaryRow]") -> None:
    for row in rows:
        if row.value is not None:
            floor = "" if row.reference is None else f", real {row.reference:.3f}"
            chance = "" if row.control is None else f", chance {row.control:.3f}"
            print(
                f"{row.metric} ({f'{row.split} {row.mode}'.strip()}): {row.value:.3f} "
                f"[{row.ci_low:.3f}, {row.ci_high:.3f}] n={row.n}{floor}{chance}"
            )
        elif row.note:
            print(f"{row.metric}: {row.note}")


def _write(out: Path, measured: "list[Measured]", rows: "list[SummaryRow]", suite: str) -> None:
    from veo_core.evaluate.records import ClipScore
    from veo_core.records.base import canonical_json
    from veo_core.records.tables import table_to_bytes

    try:
        out.mkdir(parents=True, exist_ok=True)
        scores = [row.score for row in measured]
        (out / "scores.parquet").write_bytes(table_to_bytes(scores, ClipScore))
        summary = {"suite": suite, "rows": [row.model_dump(mode="json") for row in rows]}
        (out / "summary.json").write_bytes(canonical_json(summary))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None
    print(out)


def _side_by_side(arguments: argparse.Namespace) -> int:
    from veo_core.evaluate.folder import clips_of
    from veo_core.evaluate.side_by_side.server import Session, SideBySideServer
    from veo_core.evaluate.side_by_side.trials import pairs_of
    from veo_core.evaluate.side_by_side.votes import QUESTIONS, preferences, read_votes
    from veo_core.generate.suites import read_suite

    if arguments.result:
        found = preferences(read_votes(arguments.votes), seed=arguments.seed)
        if not found:
            raise UsageError(f"{arguments.votes}: holds no vote that counts")
        for row in found:
            print(
                f"{QUESTIONS[row.question]} {arguments.first} wins {100 * (row.win_rate or 0.0):.1f} % "
                f"[{100 * (row.ci_low or 0.0):.1f}, {100 * (row.ci_high or 0.0):.1f}] against "
                f"{arguments.second}: {row.wins} better, {row.ties} same, {row.losses} worse; "
                f"{row.prompts} prompts, {row.raters} raters"
            )
        if found[0].left_out:
            print(f"left out for inattention: {', '.join(found[0].left_out)}")
        return 0
    suite = read_suite(arguments.suite, sha256=arguments.suite_sha256) if arguments.suite else None
    first, second = (clips_of(folder, suite) for folder in (arguments.first, arguments.second))
    session = Session(pairs_of(first, second, seed=arguments.seed), arguments.votes, seed=arguments.seed)
    try:
        server = SideBySideServer(session, arguments.port)
    except OSError as error:
        raise UsageError(f"--port {arguments.port}: {error.strerror}") from None
    print(f"{server.address} (Ctrl-C ends it; votes go to {arguments.votes})", flush=True)
    server.serve_until_interrupted()
    return 0
