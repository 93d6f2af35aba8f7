"""Parameters are stored and shown by the services: no secret may be in them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from veo_core.errors import UsageError

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|COOKIE)$")
_URL_PASSWORD = re.compile(r"://[^/\s\"@:]+:[^/\s\"@]+@")
_SHORTEST = 8  # shorter values, such as "1" or "world", may stand anywhere


def check(parameters: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Whether no parameter holds a secret of the environment or a password in a URL.

    Raises:
        UsageError: one does; the message names it, and not the secret.
    """
    secrets = {
        name: value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST
    }
    for parameter, value in parameters.items():
        text = json.dumps(value, ensure_ascii=False)
        mend = "services store and show parameters; stages take secrets from their own environment"
        for name, secret in secrets.items():
            if secret in text:
                raise UsageError(f"parameter {parameter} holds the value of {name}: {mend}")
        if _URL_PASSWORD.search(text):
            raise UsageError(f"parameter {parameter} holds a URL with a password: {mend}")
