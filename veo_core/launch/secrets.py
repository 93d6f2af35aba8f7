"""Start a stage with secrets of Google's Secret Manager in its environment.

    python -m veo_core.launch.secrets --secret=OPENAI_API_KEY=projects/P/secrets/S/versions/3 MODULE ARGUMENTS

Vertex AI hands custom jobs no secrets. The job's command holds their names alone; each process reads the
values as the job's service account, and becomes the stage.
"""

import base64
import binascii
import os
import re
import sys
from collections.abc import Sequence

import google.auth
import google.auth.exceptions
import google_crc32c
import requests
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.exit_codes import UNEXPECTED, USAGE
from veo_core.launch.stage_parser import add_stage, launcher_parser

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_API = "https://secretmanager.googleapis.com/v1"
_SECRET = re.compile(r"(?P<variable>[A-Z_][A-Z0-9_]*)=(?P<name>projects/[^/]+/secrets/[\w-]+/versions/\w+)")
_TIMEOUT_SECONDS = 30
_BUSY = (429, 500, 502, 503, 504)
_FORBIDDEN, _NOT_FOUND = 403, 404


def main(argv: Sequence[str] | None = None) -> int:
    """Become the stage, or return the exit code that says why not."""
    arguments = _parser().parse_args(argv)
    try:
        secrets = read_secrets(arguments.secret)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as error:
        print(f"Secret Manager cannot be asked: {' '.join(str(error).split())}", file=sys.stderr)
        return UNEXPECTED
    command = [sys.executable, "-m", arguments.module, *arguments.arguments]
    os.execve(sys.executable, command, os.environ | secrets)  # noqa: S606 (no shell is wanted)


def read_secrets(names: Sequence[str]) -> dict[str, str]:
    """Values by environment variable.

    Args:
        names: VARIABLE=projects/PROJECT/secrets/NAME/versions/VERSION.

    Raises:
        UsageError: a name is malformed, a secret is not there or may not be read, or it is no text.
        requests.RequestException, google.auth.exceptions.GoogleAuthError: nobody answers.
    """
    asked = {}
    for given in names:
        match = _SECRET.fullmatch(given)
        if match is None:
            raise UsageError(
                f"--secret {given.partition('=')[0]}: give it as "
                "VARIABLE=projects/PROJECT/secrets/NAME/versions/VERSION"
            )
        asked[match["variable"]] = match["name"]
    credentials, _ = google.auth.default(scopes=[_SCOPE])
    with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call]
        patience = Retry(total=5, backoff_factor=1, status_forcelist=_BUSY, raise_on_status=False)
        session.mount(_API, HTTPAdapter(max_retries=patience))
        return {variable: _value(session, name) for variable, name in asked.items()}


def _value(session: requests.Session, name: str) -> str:
    answer = session.get(f"{_API}/{name}:access", timeout=_TIMEOUT_SECONDS)
    if answer.status_code == _NOT_FOUND:
        raise UsageError(f"secret {name} does not exist: create it, or name another in the profile")
    if answer.status_code == _FORBIDDEN:
        raise UsageError(
            f"secret {name} may not be read by this account: grant it roles/secretmanager.secretAccessor"
        )
    answer.raise_for_status()
    payload = answer.json()["payload"]
    try:
        data = base64.b64decode(payload["data"], validate=True)
    except binascii.Error:
        data = b""
    if int(payload["dataCrc32c"]) != google_crc32c.value(data):
        raise requests.ConnectionError(f"secret {name} arrived damaged")
    text = data.decode(errors="replace")
    if "\0" in text or text.encode() != data:
        raise UsageError(f"secret {name}: not text, so it cannot be an environment variable")
    return text.removesuffix("\n")


def _parser() -> Parser:
    parser = launcher_parser("secrets", __doc__)
    parser.add_argument(
        "--secret", action="append", default=[], metavar="VARIABLE=NAME", help="may be repeated"
    )
    add_stage(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
