"""Run a stage with the world's judge beside it, on loopback.

    python -m veo_core.launch.judged MODULE ARGUMENTS

`veo run` starts one judge for all stages of its machine; the stages of a remote run start one each.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from veo_core.commandline import Parser
from veo_core.launch.stage_parser import add_stage, launcher_parser
from veo_core.world.faults import FaultRates
from veo_core.world.server import JudgeServer


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage and return its exit code; SIGTERM goes to it."""
    arguments = _parser().parse_args(argv)
    command = [sys.executable, "-m", arguments.module, *arguments.arguments]
    with JudgeServer("127.0.0.1", 0, FaultRates()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return _run(command, os.environ | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "world"})
        finally:
            server.shutdown()


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: process.send_signal(received))
    code = process.wait()
    return code if code >= 0 else 128 - code


def _parser() -> Parser:
    parser = launcher_parser("judged", __doc__)
    add_stage(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
