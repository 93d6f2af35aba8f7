"""Lists of URLs: CSV with a header, or one JSON object a line."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.sources.items import Item
from veo_core.sources.listed import Video, shown
from veo_core.sources.provenance import Provenance
from veo_core.sources.renditions import Rendition


class Row(Provenance):
    """A row: a URL or several renditions, and what is said of the video.

    Rows with the same name are renditions of the same video.
    """

    url: str = ""
    name: str = Field(default="", description="what the video is called; needed where URLs hold tokens")
    width: int = Field(default=0, ge=0, description="pixels")
    height: int = Field(default=0, ge=0, description="pixels")
    bytes: int = Field(default=0, ge=0, description="size of the file")
    renditions: list[Rendition] = Field(default_factory=list)

    def files(self) -> list[Rendition]:
        own = Rendition(url=self.url, width=self.width, height=self.height, bytes=self.bytes)
        return [own, *self.renditions] if self.url else self.renditions

    def provenance(self) -> Provenance:
        said = {name: getattr(self, name) for name in Provenance.model_fields}
        return Provenance(**said | {"source_url": self.source_url or shown(self.files()[0].url)})


def read_list(place: str) -> Sequence[Item]:
    """The videos of a list, in the order of the list.

    Args:
        place: path or URI of a file whose name ends in .csv or .jsonl.

    Raises:
        UsageError: it cannot be read, or a row does not fit; the message names its line.
    """
    videos: dict[str, bytes] = {}
    for line, value in _rows(place):
        where = f"{place} line {line}"
        row = Row.parse(value, where=where)
        files = row.files()
        if not files:
            raise UsageError(f"{where}: there is no `url`")
        key = row.name or files[0].url
        name = row.name or shown(key).partition("://")[2] or f"line {line}"
        video = Video(key=key, name=name, provenance=row.provenance(), renditions=files)
        if key in videos:
            video = _joined(Video.model_validate_json(videos[key]), video, where)
        videos[key] = video.to_bytes()
    if not videos:
        raise UsageError(f"{place}: lists no video")
    return [Video.model_validate_json(data).item() for data in videos.values()]


def _joined(first: Video, more: Video, where: str) -> Video:
    """One video with the renditions of both rows, each once."""
    other = {name for name in Provenance.model_fields if name != "source_url"}
    if first.provenance.model_dump(include=other) != more.provenance.model_dump(include=other):
        raise UsageError(f"{where}: says something else of {first.name!r} than an earlier line does")
    renditions = {rendition.url: rendition for rendition in [*first.renditions, *more.renditions]}
    return first.model_copy(update={"renditions": list(renditions.values())})


def _rows(place: str) -> Iterator[tuple[int, Any]]:
    """Line numbers and values."""
    if not place.endswith((".csv", ".jsonl")):
        raise UsageError(f"url_list {place}: its name must end in .csv or .jsonl")
    try:
        with fsspec.open(place, "rb") as data:
            text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")
            if place.endswith(".csv"):
                rows = csv.DictReader(text, restkey="more cells than the header has", restval="")
                for cells in rows:
                    yield rows.line_num, {name: cell for name, cell in cells.items() if cell}
            else:
                for number, line in enumerate(text, 1):
                    if line.strip():
                        yield number, json.loads(line)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError, ImportError) as error:
        raise UsageError(f"url_list {place}: cannot be read: {' '.join(str(error).split())}") from None
