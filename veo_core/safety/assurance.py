"""The independent assurance suite: prompts kept apart from development, read by address and digest."""

import json

import fsspec
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record, sha256_bytes
from veo_core.storage.access import access_to


class AssuranceSuite(Record):
    """Where the suite is, and which it must be."""

    uri: str = Field(description="JSONL file: a path, gs:// or s3://; a line is {prompt, unsafe}")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its bytes")


class AssurancePrompt(Record):
    """A line of the suite."""

    prompt: str = Field(min_length=1)
    unsafe: bool = Field(description="whether the filter must refuse it")


def load_suite(suite: AssuranceSuite) -> list[AssurancePrompt]:
    """The prompts of a suite.

    Raises:
        UsageError: it cannot be read, is another file, or a line is malformed.
    """
    where = f"assurance suite {suite.uri}"
    try:
        with access_to(where), fsspec.open(suite.uri, "rb") as stream:
            data = stream.read()
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{where}: cannot be read: {error}") from None
    found = sha256_bytes(data)
    if found != suite.sha256:
        raise UsageError(f"{where}: its sha256 is {found}, expected {suite.sha256}")
    prompts = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            raise UsageError(f"{where}, line {number}: not valid JSON") from None
        prompts.append(AssurancePrompt.parse(value, where=f"{where}, line {number}"))
    if {prompt.unsafe for prompt in prompts} != {True, False}:
        raise UsageError(f"{where}: it must hold prompts to refuse and prompts to let pass")
    return prompts
