"""`veo plan`: what a run takes and costs on a target, before anything is started."""

import argparse
import json
from pathlib import Path
from typing import Any

# The model of costs counts FLOPs, which imports torch: it is imported where needed.


def add_parser(subcommands: Any) -> None:
    """Add `plan` to the command line."""
    parser = subcommands.add_parser("plan", help="estimate a run's time and cost", description=__doc__)
    parser.add_argument("--clips", type=int, required=True, metavar="N", help="clips of footage that go in")
    parser.add_argument("--target", required=True, metavar="NAME", help="embedded, kubeflow or vertex")
    parser.add_argument(
        "--size", default="world", metavar="NAME", help="world, small or large (default: world)"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="of footage in a clip (default: 2.5 for world, else 5)"
    )
    form = "[COUNTx]MACHINE[:spot]"
    parser.add_argument(
        "--choice", metavar=form, help="machines of training (default: 4xct6e-standard-4t:spot)"
    )
    parser.add_argument("--cpu", metavar=form, help="machines of curation (default: 16xn2-standard-16:spot)")
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="prices over those of veo_core/plan/prices.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    from veo_core.plan.estimate import ACCELERATOR_POOL, CPU_POOL, Pool, estimate

    estimated = estimate(
        arguments.clips,
        arguments.target,
        size=arguments.size,
        seconds=arguments.seconds,
        cpu=Pool.parse_choice(arguments.cpu) if arguments.cpu else CPU_POOL,
        accelerator=Pool.parse_choice(arguments.choice) if arguments.choice else ACCELERATOR_POOL,
        prices_file=arguments.prices,
    )
    if arguments.json:
        totals = {name: getattr(estimated, name) for name in ("hours", "machine_hours", "dollars")}
        print(json.dumps({**totals, **estimated.model_dump(mode="json")}, indent=1))
    else:
        print(estimated)
    return 0
