"""`veo verify-media`: what marks a media file carries."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from veo_core.errors import ItemError, UsageError
from veo_core.media.decode import decode
from veo_core.watermark.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, load_keys
from veo_core.watermark.mark import FALSE_ALARMS, Reading, read

_LARGEST_SHORT_SIDE = 512  # pixels; the mark is far coarser


def add_parser(subcommands: Any) -> None:
    """Add `verify-media` to the command line."""
    parser = subcommands.add_parser(
        "verify-media",
        help="read the watermark and the C2PA manifest of a media file",
        description=f"{__doc__} Keys come from {KEY_VARIABLE} or the file that {KEY_FILE_VARIABLE} names.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an MP4, MOV, Matroska or WebM file")
    parser.add_argument(
        "--anchors", type=Path, metavar="PEM", help="certificates that make a C2PA manifest trusted"
    )
    parser.add_argument(
        "--root", metavar="URI", help="store of a registry: name the registered model that made the file"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    # What is needed for manifests and registries other commands do without.
    from veo_core.cli.verify_manifest import manifest_of, manifest_text, read_anchors

    anchors = None if arguments.anchors is None else read_anchors(arguments.anchors)
    reading = watermark_of(arguments.file)
    manifest = manifest_of(arguments.file, anchors)
    models = None
    if arguments.root is not None and reading.payload is not None:
        from veo_core.registry.lookup import models_with_id
        from veo_core.storage import Store

        models = models_with_id(Store(arguments.root, written=False), reading.payload.model_id)
    if arguments.json:
        found = {"watermark": reading.model_dump(mode="json"), "manifest": manifest.model_dump(mode="json")}
        print(json.dumps(found | ({} if models is None else {"models": models}), indent=1))
        return 0
    print(watermark_text(reading))
    if models is not None:
        print(f"registered models of this id: {', '.join(models) or 'none'}")
    print(manifest_text(manifest))
    return 0


def watermark_of(path: Path) -> Reading:
    """The watermark in a file, read with the keys of the environment.

    Raises:
        UsageError: there is no such file, it cannot be decoded, or the keys are wrong.
    """
    keys = load_keys()
    try:
        decoded = decode(path, max_short_side=_LARGEST_SHORT_SIDE)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ItemError as error:
        raise UsageError(f"{path}: {error}") from None
    audio = None if decoded.audio is None else np.nan_to_num(decoded.audio)
    return read(decoded.frames, audio, decoded.audio_rate, keys)


def watermark_text(reading: Reading) -> str:
    """A reading in lines."""
    sound = "no sound" if reading.p_value_sound is None else f"sound {reading.p_value_sound:.1e}"
    chance = f"p-value {reading.p_value:.1e} (picture {reading.p_value_picture:.1e}, {sound})"
    if not reading.detected:
        return f"watermark: not found: {chance}; found is below {FALSE_ALARMS:g}"
    lines = [f"watermark: found: {chance}", f"key: {reading.key_id}"]
    if reading.development_key:
        lines[-1] += " (development key: anyone can read and forge it)"
    if reading.mixed:
        lines.append("payload: marks of several clips lie over each other; none is believed")
    elif reading.payload is None:
        lines.append("payload: too damaged to be read")
    else:
        lines.append(f"model: {reading.payload.model_id:04x}")
        lines.append(f"generation: {reading.payload.generation_id:08x}")
    return "\n".join(lines)
