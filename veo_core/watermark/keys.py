"""The secret keys of the mark: where they come from, and what is derived from them."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veo_core.errors import UsageError

KEY_VARIABLE = "VEO_WATERMARK_KEY"
"""Environment variable with the keys, separated by commas: the first marks, all are tried in reading."""
KEY_FILE_VARIABLE = "VEO_WATERMARK_KEY_FILE"
"""Environment variable that names a file with a key a line, such as a mounted secret."""
SHORTEST_KEY = 16
"""Characters of the shortest key that is taken."""

_DEVELOPMENT_SECRET = b"veo development key: published with the source, anyone can read and forge its marks"


@dataclass(frozen=True)
class Key:
    """A secret key; neither `repr` nor any record shows it.

    Attributes:
        secret: what marks depend on.
        development: whether it is the published key, with which anyone can read and forge marks.
    """

    secret: bytes = field(repr=False)
    development: bool = False

    @property
    def id(self) -> str:
        """A short hash that names the key and tells nothing of it, 8 hexadecimal digits."""
        return self.derive("id").hex()[:8]

    def derive(self, purpose: str, data: bytes = b"") -> bytes:
        """32 bytes for one purpose, from which neither the key nor those of another purpose can be told."""
        return hmac.new(self.secret, purpose.encode() + b"\0" + data, hashlib.sha256).digest()


DEVELOPMENT_KEY = Key(_DEVELOPMENT_SECRET, development=True)


def load_keys(environment: Mapping[str, str] = os.environ) -> tuple[Key, ...]:
    """The keys of the environment or of the file that it names; the development key without either.

    The first key marks. All are tried in reading, so that a new key goes before the old ones.

    Raises:
        UsageError: both variables are set, the file cannot be read, or a key is too short or there twice.
    """
    given, path = environment.get(KEY_VARIABLE, ""), environment.get(KEY_FILE_VARIABLE, "")
    if given and path:
        raise UsageError(f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} are both set; unset one of them")
    if given:
        return _parsed(given.split(","), KEY_VARIABLE)
    if path:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"{KEY_FILE_VARIABLE}: {path} cannot be read: {reason}") from None
        return _parsed(lines, f"{KEY_FILE_VARIABLE}: {path}")
    return (DEVELOPMENT_KEY,)


def _parsed(texts: list[str], where: str) -> tuple[Key, ...]:
    secrets = [text.strip() for text in texts if text.strip()]
    if not secrets:
        raise UsageError(
            f"{where}: holds no key; give at least {SHORTEST_KEY} characters, such as `openssl rand -hex 32`"
        )
    for number, secret in enumerate(secrets, 1):
        if len(secret) < SHORTEST_KEY:
            raise UsageError(
                f"{where}: key {number} has {len(secret)} characters; give at least {SHORTEST_KEY}, "
                "such as `openssl rand -hex 32`"
            )
    if len(set(secrets)) < len(secrets):
        raise UsageError(f"{where}: a key is there twice; leave one of them out")
    return tuple(Key(secret.encode()) for secret in secrets)
