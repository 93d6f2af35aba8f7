"""The studio: films clip after clip into a folder, flaws included, and keeps their truth apart.

OUT/footage/clip-000000.mp4   ordinary MP4 files (H.264 and AAC)
OUT/footage/clip-000000.json  caption and rights, as footage comes with them
OUT/truth.jsonl               one `Truth` a line; the pipeline never reads it
"""

import concurrent.futures
import io
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from veo_core.errors import UsageError
from veo_core.media.encode import encode
from veo_core.progress import track
from veo_core.sharding import end_with_parent
from veo_core.world import flaws
from veo_core.world.grammar import caption
from veo_core.world.plan import Plan, flaw_generator, flip_axis, plan, scene_of, words_generator
from veo_core.world.take import Take, shoot
from veo_core.world.truth import Truth, WorldSpec, clip_name, expected_verdict

_CHUNK = 8
_AUTHORS = ("Ada Kowalski", "Bilal Haddad", "Chen Yu", "Dolores Vega", "Emeka Obi")


@dataclass(frozen=True)
class FilmedClip:
    """A clip that was filmed: its file, what its sidecar says, and its truth."""

    path: Path
    sidecar: dict[str, str]
    truth: Truth


def make(out: str | Path, spec: WorldSpec, *, workers: int = 1) -> list[Truth]:
    """Film all clips of `spec` into the folder `out` and write their truth beside the footage.

    Raises:
        UsageError: `out` is not empty or cannot be written.
    """
    out = Path(out)
    footage = out / "footage"
    try:
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out}: not empty; name a new folder or empty this one")
        footage.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from None
    truths = list(track(_film_all(spec, footage, workers), total=spec.clips, label="filming", unit="clips"))
    part = out / "truth.jsonl.part"
    part.write_bytes(b"".join(truth.to_bytes() + b"\n" for truth in truths))
    part.replace(out / "truth.jsonl")
    return truths


def read_truth(path: str | Path) -> list[Truth]:
    """The truth of a folder that `make` filmed; `path` is its truth.jsonl.

    Raises:
        UsageError: the file is missing or is no truth.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        values = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    return [Truth.parse(value, where=f"{path}:{number}") for number, value in enumerate(values, 1)]


def film_clip(spec: WorldSpec, index: int, folder: Path) -> FilmedClip:
    """Film clip `index` of `spec` into `folder`: `NAME.mp4`, and `NAME.json` with caption and rights."""
    planned = plan(spec, index)
    rng = flaw_generator(spec, index)
    take, detail = _shoot(spec, index, planned, rng)
    data = _to_bytes(take)
    if planned.flaw == "corrupt":
        data = flaws.corrupt(data, rng)
    elif planned.flaw == "truncated":
        data, detail = flaws.truncate(data, rng)
    truth = Truth(
        name=clip_name(index),
        index=index,
        scene=index if planned.partner is None else planned.partner,
        flaw=planned.flaw,
        detail=detail,
        expected=expected_verdict(planned.flaw),
        partner="" if planned.partner is None else clip_name(planned.partner),
        shots=take.shots,
        onsets=take.onsets,
    )
    path = folder / truth.name
    path.write_bytes(data)
    sidecar = _sidecar(truth, words_generator(spec, index))
    path.with_suffix(".json").write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    return FilmedClip(path, sidecar, truth)


def _shoot(spec: WorldSpec, index: int, planned: Plan, rng: np.random.Generator) -> tuple[Take, str]:
    """The take of a clip with its flaw in it, and the flaw's parameters in words."""
    flaw, partner = planned
    scene = scene_of(spec, index if partner is None else partner, hazard=flaw == "harmful")
    if flaw == "out_of_sync":
        return flaws.shoot_out_of_sync(scene, spec, rng)
    if flaw == "variable_frame_rate":
        return flaws.shoot_variable_frame_rate(scene, spec, rng)
    if flaw in ("too_short", "too_long"):
        seconds = spec.seconds * (flaws.SHORT if flaw == "too_short" else flaws.LONG)
        return shoot(scene, spec, seconds=seconds), f"{seconds:g} s"
    take = shoot(scene, spec)
    if flaw == "two_shots":
        return take, flaws.two_shots(take, shoot(scene_of(spec, index, shot=1), spec))
    if flaw == "flipped":
        return take, flaws.flip(take, horizontal=bool(flip_axis(scene)))
    alter = flaws.ALTER.get(flaw) if flaw else None
    return take, alter(take, rng) if alter else ""


def _to_bytes(take: Take) -> bytes:
    buffer = io.BytesIO()
    encode(
        buffer,
        take.frames,
        fps=take.fps,
        audio=take.audio,
        audio_rate=take.audio_rate,
        pts=None if take.pts is None else take.pts.tolist(),
        **take.encoding,
    )
    return buffer.getvalue()


def _sidecar(truth: Truth, rng: np.random.Generator) -> dict[str, str]:
    """The caption, and rights as a footage library states them; every value is text."""
    sidecar = {"caption": ", then ".join(caption(shot.attributes, rng) for shot in truth.shots)}
    if truth.flaw == "rights_missing":
        return sidecar
    denied = truth.flaw == "rights_denied"
    free = rng.random() < 0.5
    licence = "LicenseRef-no-training" if denied else "CC0-1.0" if free else "CC-BY-4.0"
    page = "https://creativecommons.org/" + ("publicdomain/zero/1.0/" if free else "licenses/by/4.0/")
    return sidecar | {
        "author": _AUTHORS[int(rng.integers(len(_AUTHORS)))],
        "licence_id": licence,
        "licence_url": "https://world.invalid/no-training" if denied else page,
        "ml_training": "denied" if denied else "allowed",
        "evidence": f"the author's statement of {licence} on the source page",
        "source_url": f"https://world.invalid/{truth.name}",
        "retrieved_at": "2026-01-01T00:00:00Z",
    }


def _film_all(spec: WorldSpec, footage: Path, workers: int) -> Iterator[Truth]:
    film = partial(_film_truth, spec, footage)
    if workers <= 1:
        yield from map(film, range(spec.clips))
        return
    # Spawned, not forked: OpenCV hangs in a fork of a process in which its threads have run.
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, spawn, _start_worker) as pool:
        yield from pool.map(film, range(spec.clips), chunksize=_CHUNK)


def _start_worker() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def _film_truth(spec: WorldSpec, footage: Path, index: int) -> Truth:
    return film_clip(spec, index, footage).truth
