"""The shooting plan: which scene each clip of a spec shows and which flaw it has.

Everything follows from (seed, index), so that any clip can be filmed alone, in any order.
"""

from typing import NamedTuple

import numpy as np

from veo_core.world.flaws import mirrored
from veo_core.world.grammar import held_out
from veo_core.world.scene import Scene, sample_scene
from veo_core.world.truth import DUPLICATES, FLAWS, Flaw, WorldSpec

# Independent streams of randomness of one clip.
_SCENE, _PLAN, _FLAW, _WORDS = range(4)


class Plan(NamedTuple):
    """flaw: None for a clip without one. partner: index of the flawless clip that a duplicate copies."""

    flaw: Flaw | None = None
    partner: int | None = None


def plan(spec: WorldSpec, index: int) -> Plan:
    """What clip `index` is. A duplicate for which no flawless original is found gets another flaw."""
    rng = np.random.default_rng([spec.seed, index, _PLAN])
    if rng.random() >= spec.flaws:
        return Plan()
    weights = {flaw: spec.flaw_weights.get(flaw, 0.0) if spec.flaw_weights else 1.0 for flaw in FLAWS}
    flaw = _draw(rng, weights)
    if flaw not in DUPLICATES:
        return Plan(flaw)
    for candidate in rng.integers(0, spec.clips, 200).tolist():
        if candidate == index or not _is_flawless(spec, candidate):
            continue
        if flaw != "flipped" or flip_axis(scene_of(spec, candidate)) is not None:
            return Plan(flaw, candidate)
    others = {name: 0.0 if name in DUPLICATES else weight for name, weight in weights.items()}
    return Plan(_draw(rng, others)) if any(others.values()) else Plan()


def scene_of(spec: WorldSpec, index: int, *, shot: int = 0, hazard: bool = False) -> Scene:
    """The scene of clip `index`, were it no duplicate; `shot` counts the scenes of a file with cuts."""
    rng = np.random.default_rng([spec.seed, index, _SCENE, shot])
    two = not hazard and rng.random() < spec.two_objects
    return sample_scene(
        rng,
        aspect=spec.width / spec.height,
        seconds=spec.seconds,
        excerpt=spec.excerpt,
        objects=2 if two else 1,
        hazard=hazard,
    )


def flaw_generator(spec: WorldSpec, index: int) -> np.random.Generator:
    """The source of a flaw's parameters."""
    return np.random.default_rng([spec.seed, index, _FLAW])


def words_generator(spec: WorldSpec, index: int) -> np.random.Generator:
    """The source of a clip's caption and rights."""
    return np.random.default_rng([spec.seed, index, _WORDS])


def flip_axis(scene: Scene) -> bool | None:
    """True to flip left with right, False top with bottom, None where both would show a held-out scene."""
    for horizontal in (True, False):
        if not held_out(mirrored(scene.attributes, horizontal=horizontal)):
            return horizontal
    return None


def _is_flawless(spec: WorldSpec, index: int) -> bool:
    return bool(np.random.default_rng([spec.seed, index, _PLAN]).random() >= spec.flaws)


def _draw(rng: np.random.Generator, weights: dict[Flaw, float]) -> Flaw:
    shares = np.array([weights[flaw] for flaw in FLAWS])
    return FLAWS[int(rng.choice(len(FLAWS), p=shares / shares.sum()))]
