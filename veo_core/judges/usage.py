"""What answers cost, as their servers count it."""

from pydantic import Field

from veo_core.records.base import Record


class Usage(Record):
    """What one answer took, or several together."""

    requests: int = Field(default=0, description="requests that the server answered, whatever it said")
    input_tokens: int = 0
    output_tokens: int = 0
    bytes_sent: int = Field(default=0, description="size of the requests' bodies")

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            bytes_sent=self.bytes_sent + other.bytes_sent,
        )
