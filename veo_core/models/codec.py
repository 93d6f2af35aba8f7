"""What every autoencoder of picture or sound offers, whoever made it.

Latents have zero mean and unit variance per channel: each codec normalises by the statistics stored with
its weights, because the denoiser's noise levels assume it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from veo_core.data.spec import AudioFactors, VideoFactors


class VideoCodec(nn.Module, ABC):
    """Pictures [b, 3, f, h, w] in [-1, 1] to latents [b, c, t, h', w'] and back.

    Causal: latent frame 0 is the first picture alone, and a prefix of the clip has a prefix of its latents.
    """

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of a latent."""

    @property
    @abstractmethod
    def factors(self) -> VideoFactors:
        """How it divides time and space."""

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Pictures in [-1, 1] to normalised latents."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to pictures in [-1, 1]."""


class SoundAutoencoder(nn.Module, ABC):
    """Mono sound [b, n] at its own rate to latents [b, c, l] and back; `AudioCodec` makes it fit a clip."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of a latent."""

    @property
    @abstractmethod
    def factors(self) -> AudioFactors:
        """The rate that it works at, and how it divides time."""

    @property
    def rate_out(self) -> int:
        """Samples per second of what it decodes."""
        return self.factors.rate

    def prepare(self, sounds: Iterable[Tensor]) -> None:
        """Take the statistics of latents from training sounds, where they did not come with the weights.

        Args:
            sounds: batches [b, n] as `encode` takes them.
        """

    @abstractmethod
    def encode(self, sound: Tensor) -> Tensor:
        """A whole number of steps of sound in [-1, 1] at `factors.rate` to normalised latents."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to sound [b, n] at `rate_out`."""
