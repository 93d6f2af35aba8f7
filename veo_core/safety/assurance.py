"""The independent assurance suite: prompts kept apart from development, read by address and digest."""

import json

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.storage.pinned import read_pinned


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
    data = read_pinned(suite.uri, suite.sha256, where=where)
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
