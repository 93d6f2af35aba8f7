"""An autoencoder of sound made to fit a clip: its rate, its length, one channel."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.data.resample import resample
from veo_core.data.spec import AudioFactors, ClipSpec
from veo_core.errors import UsageError
from veo_core.models.codec import SoundAutoencoder


class AudioCodec(nn.Module):
    """Waveforms [b, samples] in [-1, 1], mono, of a clip's rate and length to latents [b, c, l] and back.

    Resamples to the rate of the autoencoder, and pads the end with silence where the autoencoder needs it.

    Raises:
        UsageError: the clip does not fit the autoencoder.
    """

    def __init__(self, autoencoder: SoundAutoencoder, clip: ClipSpec) -> None:
        super().__init__()
        self.autoencoder, self.clip = autoencoder, clip
        self.length = autoencoder.factors.latents(clip.samples, clip.audio_rate)

    @property
    def channels(self) -> int:
        return self.autoencoder.channels

    @property
    def factors(self) -> AudioFactors:
        return self.autoencoder.factors

    @torch.no_grad()
    def encode(self, sound: Tensor) -> Tensor:
        """Waveforms [b, samples] to normalised latents [b, c, l].

        Raises:
            UsageError: another number of samples.
        """
        return self.autoencoder.encode(self.prepared(sound))

    def prepared(self, sound: Tensor) -> Tensor:
        """Waveforms [b, samples] at the autoencoder's rate, a whole number of its steps."""
        if sound.shape[1] != self.clip.samples:
            raise UsageError(
                f"the audio codec was given {sound.shape[1]} sound samples, a clip has {self.clip.samples}"
            )
        with torch.autocast(sound.device.type, enabled=False):
            sound = resample(sound.float(), self.clip.audio_rate, self.factors.rate)
        return F.pad(sound, (0, -sound.shape[1] % self.factors.step))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [b, c, l] to waveforms [b, samples]."""
        sound = self.autoencoder.decode(latents)
        with torch.autocast(sound.device.type, enabled=False):
            sound = resample(sound.float(), self.autoencoder.rate_out, self.clip.audio_rate)
        sound = sound[:, : self.clip.samples]
        return F.pad(sound, (0, self.clip.samples - sound.shape[1])).clamp(-1.0, 1.0)
