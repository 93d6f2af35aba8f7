"""Measuring one clip: what the detectors see and hear, and the figures that need no reference."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from veo_core.errors import ItemError
from veo_core.evaluate.flicker import flicker
from veo_core.evaluate.following import score_attributes
from veo_core.evaluate.records import ClipScore
from veo_core.media.decode import Decoded, decode
from veo_core.media.signals import luma_of, motion
from veo_core.media.sound import clipped_share, loudness
from veo_core.storage import Store
from veo_core.world.grammar import parse
from veo_core.world.judge import judge
