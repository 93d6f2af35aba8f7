"""The command `veo`: run the pipeline, ask why, forget, film, generate, evaluate, verify and more."""

import sys
import traceback
from collections.abc import Sequence

from veo_core.cli import (
    approve,
    diff,
    evaluate,
    export,
    forget,
    generate,
    model,
    plan,
    replay,
    run,
    runs,
    safety,
    ui,
    verify,
    verify_media,
    why,
)
from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.world import main as world


def parser() -> Parser:
    """The command line of `veo`."""
    root = Parser(prog="veo", description=__doc__)
    subcommands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run.add_parsers(subcommands)
    runs.add_parsers(subcommands)
    ui.add_parsers(subcommands)
    why.add_parser(subcommands)
    diff.add_parser(subcommands)
    verify.add_parser(subcommands)
    replay.add_parser(subcommands)
    forget.add_parser(subcommands)
    export.add_parser(subcommands)
    generate.add_parser(subcommands)
    evaluate.add_parser(subcommands)
    model.add_parser(subcommands)
    verify_media.add_parser(subcommands)
    safety.add_parser(subcommands)
    approve.add_parsers(subcommands)
    plan.add_parser(subcommands)
    world.add_parser(subcommands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.execute(arguments))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
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
