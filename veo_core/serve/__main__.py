"""`python -m veo_core.serve`: listen, load the model, serve until SIGTERM."""

import signal
import socket
import sys
import traceback
from collections.abc import Sequence

import uvicorn

from veo_core.errors import UsageError
from veo_core.serve.app import Application
from veo_core.serve.prompt_filter import judge_of
from veo_core.serve.settings import Settings, read_settings

_KEEP_ALIVE = 620
"""Seconds that an idle connection stays: longer than Google's load balancers keep theirs, which are 600. Who
closes first loses no request."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; 0 stopped by a signal, 1 failed, 2 bad settings or no such model."""
    try:
        return serve(read_settings(argv))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; requests that were accepted are answered before it returns.

    Raises:
        UsageError: the address cannot be listened on, there is no such model, or no judge.
    """

    def stop(*_: object) -> None:
        server.should_exit = True

    with judge_of(settings) as judge:
        application = Application(settings, judge, stop)
        config = uvicorn.Config(
            application.asgi(),
            loop="asyncio",
            http="h11",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        server = uvicorn.Server(config)
        # Uvicorn raises the signal again once it has stopped; this process then ends with 0.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        with listening_on(settings.host, settings.port) as listener:
            host, port = listener.getsockname()[:2]
            print(f"listening on http://{host}:{port}", flush=True)
            server.run(sockets=[listener])
    if isinstance(application.problem, UsageError):
        raise application.problem
    if application.problem is not None:
        traceback.print_exception(application.problem)
        return 1
    print("stopped", flush=True)
    return 0


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens, before the model is loaded.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        return socket.create_server((host, port), backlog=1024)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error}; choose another with --port") from None


if __name__ == "__main__":
    sys.exit(main())
