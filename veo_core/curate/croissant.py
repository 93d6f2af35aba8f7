"""The Croissant 1.1 description of a packaged dataset (JSON-LD; https://docs.mlcommons.org/croissant).

URLs are relative to the description's own place in the store, so it means the same on a laptop and in a
bucket. Dates are left out, because equal inputs give equal bytes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from veo_core.curate.funnel import by_stage
from veo_core.curate.origins import Origins
from veo_core.records.dataset import FilterQuality, Shard
from veo_core.records.files import FileRef
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest

Json = dict[str, Any]

CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TABLE, _MEDIA, _FACTS, _PICTURES = "clips.parquet", "mp4-files", "json-files", "jpg-files"
_MOST_CREATORS = 50

_COLUMNS = (
    ("clip_id", "sc:Text", "Name of the clip; its files in the shards begin with it."),
    ("split", "sc:Text", "train or validation; look-alikes and shots of one source never part."),
    ("bucket", "sc:Text", "Shape to train at: width x height x frames."),
    ("shard", "sc:Text", "Name of the tar file that holds the clip."),
    ("shot", "sc:Integer", "Number of the shot in its source."),
    ("start", "sc:Float", "Where the shot begins in its source, in seconds."),
)
_PARTS = (
    ("caption", "annotation", "caption", "sc:Text", "What is seen and heard, in full sentences."),
    ("short_caption", "annotation", "short_caption", "sc:Text", "The same in a few words."),
    ("sound", "annotation", "sound", "sc:Text", "What is heard."),
    ("width", "facts", "width", "sc:Integer", "Pixels."),
    ("height", "facts", "height", "sc:Integer", "Pixels."),
    ("fps", "facts", "fps", "sc:Float", "Pictures per second."),
    ("frames", "facts", "frames", "sc:Integer", "Number of pictures."),
    ("seconds", "facts", "seconds", "sc:Float", "Length."),
    ("audio_rate", "facts", "audio_rate", "sc:Integer", "Sound samples per second."),
    ("media_sha256", "media", "sha256", "sc:Text", "sha256 of the MP4 file."),
    ("source_id", "source", "source_id", "sc:Text", "Id of the file that the clip was cut from."),
    ("source_url", "source", "source_url", "sc:URL", "Where the footage was published."),
    ("author", "source", "author", "sc:Text", "Whom to name."),
    ("licence_id", "source", "licence_id", "sc:Text", "SPDX name of the licence, where it has one."),
    ("licence_url", "source", "licence_url", "sc:URL", "Text of the licence."),
    ("rights_evidence", "source", "evidence", "sc:Text", "Why training on it is allowed."),
)


def beside(ref: FileRef) -> str:
    """An object's place, from a description that is an object of the same store."""
    return ref.path.replace("objects/", "../", 1)


def describe(
    manifest: Manifest,
    shards: Sequence[Shard],
    found: Origins,
    curation: Sequence[Outcome],
    filters: Sequence[FilterQuality],
    place: Callable[[FileRef], str] = beside,
) -> Json:
    """The Croissant description of a dataset.

    Args:
        manifest: the dataset's, with the table `clips`.
        shards: its shards.
        found: where its clips come from.
        curation: what each stage decided.
        filters: how well filters work, where that was measured.
        place: gives the URL of an object.
    """
    table = manifest.tables["clips"]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "video-with-sound-clips",
        "description": (
            f"{table.rows} video clips with sound ({found.seconds:.0f} s) with captions, for training "
            "text-to-video and image-to-video models. Every clip carries its source, author and licence."
        ),
        "license": sorted(found.licences),
        "url": place(table),
        "version": f"1.0.0+{table.sha256[:12]}",
        "keywords": ["video", "audio", "text-to-video", "image-to-video"],
        "citeAs": (
            f"Clips by {len(found.authors)} authors; name the author and the licence of each clip that you "
            "use: fields author, licence_id, licence_url and source_url of the record set clips."
        ),
        "creator": _creators(found.authors),
        "isLiveDataset": False,
        **_responsible_use(found, manifest, curation, filters),
        "distribution": _distribution(manifest, shards, place),
        "recordSet": [
            _clips(),
            _contents("videos", "The MP4 file of every clip, with sound.", _MEDIA, "sc:VideoObject"),
            _contents(
                "first_frames", "The key frame that each clip begins with.", _PICTURES, "sc:ImageObject"
            ),
            _contents("samples", "Captions, facts and rights of each clip, as JSON.", _FACTS, "sc:Text"),
        ],
    }


def _creators(authors: Counter[str]) -> list[Json]:
    """The authors of most clips; the table names them all."""
    ranked = sorted((-clips, author) for author, clips in authors.items() if author)
    return [{"@type": "sc:Person", "name": author} for _, author in ranked[:_MOST_CREATORS]]


def _responsible_use(
    found: Origins, manifest: Manifest, curation: Sequence[Outcome], filters: Sequence[FilterQuality]
) -> Json:
    """What is known of collection, processing and annotation, in the terms of Croissant RAI 1.0."""
    origins = ", ".join(f"{clips} clips from {origin}" for origin, clips in sorted(found.origins.items()))
    return {
        "rai:dataCollection": f"{origins}. Only footage whose rights allow training was collected; each "
        "clip's evidence is in the field rights_evidence.",
        "rai:dataPreprocessingProtocol": [
            "Split at shots, bars cropped, trimmed with the sound, near-duplicates removed, filtered for "
            "safety and quality; the ledgers of the stages hold every decision with its reason.",
            *(
                f"{stage}: {kept} of {items} kept" + (f"; {lost}." if lost else ".")
                for stage, items, kept, lost in by_stage(curation)
            ),
            *(
                f"Filter {f.filter}: precision {f.precision:.3f}, recall {f.recall:.3f} on {f.n} clips "
                f"({f.evidence})."
                for f in filters
            ),
            f"Packed as configured by {manifest.config_digest}.",
        ],
        "rai:dataAnnotationProtocol": ["Captions were written by the machine annotation tools, from frames "
                                       "and sound, and checked against what was measured."],
        "rai:machineAnnotationTools": sorted(found.judges),
        "rai:personalSensitiveInformation": [
            "Footage may show people. Names, e-mail addresses, telephone numbers and plates were scrubbed "
            "from captions. `veo forget` removes a source on request."
        ],
        "rai:dataUseCases": ["Training of generators of video with sound."],
    }  # fmt: skip


def _distribution(manifest: Manifest, shards: Sequence[Shard], place: Callable[[FileRef], str]) -> list[Json]:
    table = manifest.tables["clips"]
    about = "One row a clip: the source of truth."
    files = [file_object(_TABLE, table, place(table), "application/x-parquet", about)]
    files += [
        file_object(
            shard.name,
            shard.file,
            place(shard.file),
            "application/x-tar",
            f"WebDataset shard of {shard.clips} clips.",
        )
        for shard in shards
    ]
    places = [{"@id": shard.name} for shard in shards]
    sets = (
        (_MEDIA, "video/mp4", "*.mp4", "The clips, with sound."),
        (_FACTS, "application/json", "*.json", "Captions, facts and rights of each clip."),
        (_PICTURES, "image/jpeg", "*.jpg", "The first key frame of each clip."),
    )
    return files + [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": description,
            "containedIn": places,
            "encodingFormat": kind,
            "includes": pattern,
        }
        for name, kind, pattern, description in sets
    ]


def file_object(name: str, ref: FileRef, url: str, kind: str, description: str) -> Json:
    """One file of a dataset, with its size and digest."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": url,
        "contentSize": f"{ref.bytes} B",
        "encodingFormat": kind,
        "sha256": ref.sha256,
    }


def _clips() -> Json:
    source = {"fileObject": {"@id": _TABLE}}
    fields = [
        _field("clips", name, kind, text, source | {"extract": {"column": name}})
        for name, kind, text in _COLUMNS
    ]
    fields += [
        _field(
            "clips",
            name,
            kind,
            text,
            source | {"extract": {"column": column}, "transform": {"jsonPath": f"$.{key}"}},
        )
        for name, column, key, kind, text in _PARTS
    ]
    return _record_set("clips", "Every clip, from the table.", fields, key="clip_id")


def _contents(name: str, text: str, files: str, kind: str) -> Json:
    source = {"fileSet": {"@id": files}}
    by_name = {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"([^/]*)\.[a-z0-9]+$"}}
    fields = [
        _field(name, "clip_id", "sc:Text", "The file's clip.", source | by_name),
        _field(name, "content", kind, "The file.", source | {"extract": {"fileProperty": "content"}}),
    ]
    return _record_set(name, text, fields, key="clip_id")


def _record_set(name: str, text: str, fields: list[Json], *, key: str) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": text,
        "key": {"@id": f"{name}/{key}"},
        "field": fields,
    }


def _field(record_set: str, name: str, kind: str, text: str, source: Json) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": text,
        "dataType": kind,
        "source": source,
    }
