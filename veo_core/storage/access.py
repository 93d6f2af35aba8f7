"""Explains why a place does not let this user in."""

from collections.abc import Iterator
from contextlib import contextmanager

from veo_core.errors import UsageError


@contextmanager
def access_to(what: str) -> Iterator[None]:
    """Turns refused or missing credentials into an error that names the place.

    Args:
        what: the place as the message calls it, such as "store gs://bucket".

    Raises:
        UsageError: the block ended in such an error; all others pass.
    """
    try:
        yield
    except PermissionError as error:
        raise UsageError(f"{what}: access is denied: {error}") from None
    except Exception as error:
        if "credentials" in type(error).__name__.lower():  # of botocore or google.auth, by protocol
            raise UsageError(f"{what}: {error}") from None
        raise
