"""A packaged dataset as plain folders of pairs: `t2v_pairs/` and `i2v_pairs/` with mp4, wav, txt and jpg."""

import io
import json
import os
import shutil
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError, UsageError
from veo_core.media.opening import Limits, open_media, undecodable
from veo_core.media.passes import Pass, Sound
from veo_core.progress import track
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Split
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

OWNER = ".veo-export.json"
ATTRIBUTION = "ATTRIBUTION.txt"
METADATA = "metadata.jsonl"

_KINDS = {"t2v_pairs": ("mp4", "wav", "txt"), "i2v_pairs": ("mp4", "wav", "txt", "jpg")}


class Export(Record):
    """What a folder holds; kept in it as `.veo-export.json`."""

    dataset: str
    splits: list[Split]


def export_folder(dataset: Manifest, out: Path, splits: Sequence[Split], store: Store) -> int:
    """Write the clips of a dataset as pairs, with `metadata.jsonl` and an attribution of every clip.

    Each file appears whole or not at all; an export that was stopped goes on where it was.

    Args:
        dataset: the manifest of a packaged dataset.
        out: the folder, new, empty or of an export of the same clips.
        splits: which clips.
        store: where they are.

    Returns:
        The number of clips.

    Raises:
        UsageError: the manifest is no dataset's, the folder holds something else, or no clip is chosen.
    """
    if not {"clips", "pairs"} <= dataset.tables.keys():
        raise UsageError(f"the manifest of stage {dataset.stage!r} is no packaged dataset")
    _claim(out, Export(dataset=dataset.digest, splits=sorted(splits)))
    count = 0
    names = (ATTRIBUTION, *(f"{kind}/{METADATA}" for kind in _KINDS))
    parts = {name: (out / f"{name}.part").open("w", encoding="utf-8") for name in names}
    try:
        clips = store.stream_table(dataset.tables["clips"], Clip)
        for clip in track(clips, total=dataset.tables["clips"].rows, label="export", unit="clips"):
            if clip.split in splits and clip.annotation is not None:
                _write_clip(clip, out, store)
                parts[ATTRIBUTION].write(_credit(clip))
                for kind in _KINDS:
                    line = json.dumps(_metadata(clip, kind), ensure_ascii=False, sort_keys=True)
                    parts[f"{kind}/{METADATA}"].write(line + "\n")
                count += 1
    finally:
        for stream in parts.values():
            stream.close()
    if not count:
        raise UsageError(f"the dataset has no clip in split {' or '.join(splits)}")
    for name in names:
        (out / f"{name}.part").replace(out / name)
    return count


def _claim(out: Path, export: Export) -> None:
    """Make the folder this export's.

    Raises:
        UsageError: it belongs to something else.
    """
    owner = out / OWNER
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder")
    if owner.is_file():
        if Export.load(owner) != export:
            raise UsageError(f"{out} holds an export of other clips; name another folder, or delete it")
    elif out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no export; name a new folder")
    for kind in _KINDS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    _put(owner, export.to_bytes())


def _write_clip(clip: Clip, out: Path, store: Store) -> None:
    """The files of one clip that are not there yet."""
    places = {
        kind: {suffix: out / kind / f"{clip.clip_id}.{suffix}" for suffix in suffixes}
        for kind, suffixes in _KINDS.items()
    }
    wanted = [path for files in places.values() for path in files.values()]
    if all(path.is_file() for path in wanted):
        return
    assert clip.annotation is not None
    media = store.get_bytes(clip.media)
    first, *others = places.values()
    _put(first["mp4"], media)
    contents = {
        "wav": _wav(first["mp4"], clip),
        "txt": clip.annotation.caption.encode() + b"\n",
        "jpg": store.get_bytes(clip.key_frames[0]),
    }
    for files in places.values():
        for suffix, path in files.items():
            if suffix in contents:
                _put(path, contents[suffix])
    for files in others:
        _link(first["mp4"], files["mp4"])


def _put(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(target)


def _wav(path: Path, clip: Clip) -> bytes:
    """The sound of a clip as a 16-bit WAV file; as long a silence where it has none.

    Raises:
        UsageError: the clip cannot be decoded.
    """
    try:
        samples, rate = _decode_sound(path)
    except ItemError as error:
        raise UsageError(f"clip {clip.clip_id} cannot be exported: {error}") from None
    if samples is None:
        samples = np.zeros((1, round(clip.facts.seconds * rate)), np.float32)
    sink = io.BytesIO()
    with wave.open(sink, "wb") as stream:
        stream.setnchannels(samples.shape[0])
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes((np.clip(samples.T, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return sink.getvalue()


def _decode_sound(path: Path) -> tuple[npt.NDArray[np.float32] | None, int]:
    """Samples float32 [c, l] from the first picture on, and their rate."""
    try:
        with open_media(path, Limits()) as container:
            frames = Pass(container, Limits(), pictures=False)
            if frames.audio is None:
                return None, 48_000
            sound = Sound(frames.audio, channels=2)
            for frame in frames.frames():
                assert isinstance(frame, av.AudioFrame)
                sound.add(frame)
            return sound.samples(0.0), sound.rate
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise undecodable(error) from None


def _metadata(clip: Clip, kind: str) -> dict[str, Any]:
    """A line of `metadata.jsonl`, in the layout of Hugging Face's VideoFolder."""
    note, source = clip.annotation, clip.source
    assert note is not None
    line = {
        "file_name": f"{clip.clip_id}.mp4",
        "audio_file_name": f"{clip.clip_id}.wav",
        "text": note.caption,
        "short_text": note.short_caption,
        "sound": note.sound,
        "split": clip.split,
        "bucket": clip.bucket,
        "width": clip.facts.width,
        "height": clip.facts.height,
        "fps": clip.facts.fps,
        "frames": clip.facts.frames,
        "author": source.author,
        "licence_id": source.licence_id,
        "licence_url": source.licence_url,
        "source_url": source.source_url,
    }
    return line | ({"image_file_name": f"{clip.clip_id}.jpg"} if kind == "i2v_pairs" else {})


def _credit(clip: Clip) -> str:
    """Whom to name for a clip, as CC BY asks: author, work, place, licence and that it was changed."""
    source = clip.source
    author = " ".join(filter(None, (source.author or "unknown author", source.author_url)))
    licence = " ".join(filter(None, (source.licence_id or "no licence stated", source.licence_url)))
    place = f", {source.source_url}" if source.source_url else ""
    return f"{clip.clip_id}: {source.name} by {author}{place}. {licence}. Cut and encoded anew.\n"
