"""The command `veo`: run the pipeline, ask why, forget, film, generate, evaluate, verify and more."""

import importlib
import sys
import traceback
from collections.abc import Sequence

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.lineage.terminal import visible

COMMANDS = {
    "run": "veo_core.cli.run",
    "curate": "veo_core.cli.run",
    "runs": "veo_core.cli.runs",
    "logs": "veo_core.cli.runs",
    "ui": "veo_core.cli.ui",
    "report": "veo_core.cli.ui",
    "why": "veo_core.cli.why",
    "diff": "veo_core.cli.diff",
    "verify": "veo_core.cli.verify",
    "replay": "veo_core.cli.replay",
    "forget": "veo_core.cli.forget",
    "export": "veo_core.cli.export",
    "generate": "veo_core.cli.generate",
    "eval": "veo_core.cli.evaluate",
    "model": "veo_core.cli.model",
    "verify-media": "veo_core.cli.verify_media",
    "safety": "veo_core.cli.safety",
    "approve": "veo_core.cli.approve",
    "gate": "veo_core.cli.approve",
    "plan": "veo_core.cli.plan",
    "world": "veo_core.world.main",
}
"""The module that adds each command: importing them all takes longer than many a command does."""


def parser(command: str = "") -> Parser:
    """The command line of `veo`, or the part of it that has `command`, where there is such a command."""
    root = Parser(prog="veo", description=__doc__)
    subcommands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    modules = [COMMANDS[command]] if command in COMMANDS else dict.fromkeys(COMMANDS.values())
    for name in modules:
        module = importlib.import_module(name)
        add = getattr(module, "add_parsers", None) or module.add_parser
        add(subcommands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser(given[0] if given else "").parse_args(given)
    try:
        return int(arguments.execute(arguments))
    except UsageError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
