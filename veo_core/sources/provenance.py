"""What is known of a file before it is opened: where it comes from, and what its rights allow."""

import json

from pydantic import Field, ValidationError

from veo_core.errors import ItemError
from veo_core.records.base import Record
from veo_core.records.clip import Permission


class Provenance(Record):
    """What a sidecar `NAME.json` beside `NAME.mp4`, or a row of a list, says; every field is optional."""

    caption: str = Field(default="", description="what is to be seen, in the words of whoever made it")
    transcript: str = Field(default="", description="what is spoken; the safety filter reads it")
    source_url: str = Field(default="", description="the page that shows the footage")
    author: str = ""
    author_url: str = ""
    licence_id: str = Field(default="", description="SPDX identifier or a name such as 'Pexels'")
    licence_url: str = ""
    retrieved_at: str = Field(default="", description="ISO 8601")
    ml_training: Permission = "unknown"
    evidence: str = Field(default="", description="what the permission or its denial rests on")


def parse_sidecar(data: bytes, name: str) -> Provenance:
    """Read the sidecar called `name`.

    Raises:
        ItemError: rule "sidecar": it is no JSON, or says something that is not known.
    """
    try:
        return Provenance.model_validate(json.loads(data))
    except (ValueError, RecursionError, ValidationError) as error:
        raise ItemError("sidecar", f"{name}: {' '.join(str(error).split())[:200]}") from None
