"""The judge: what a decoded clip shows and how it sounds, from pixels and samples alone."""

from veo_core.media.decode import Decoded
from veo_core.world.detect_picture import see
from veo_core.world.detect_sound import hear
from veo_core.world.sighting import Sighting


def judge(decoded: Decoded) -> Sighting:
    """What is seen and heard of a clip. Never raises on odd pictures: what cannot be told is None."""
    seen = see(decoded.frames, decoded.pts)
    heard = hear(decoded.audio, decoded.audio_rate)
    return Sighting(**dict(seen), **dict(heard))
