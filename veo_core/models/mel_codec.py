"""Our own audio codec: log-mel, the autoencoder of sound, and Griffin-Lim on the way back."""

import torch
from torch import Tensor

from veo_core.data.mel import LogMel
from veo_core.data.spec import AudioFactors, ClipSpec
from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codec import SoundAutoencoder


class MelAutoencoder(SoundAutoencoder):
    """An `AudioVAE` on waveforms at the clip's rate.

    Raises:
        UsageError: the clip has other mel bands than the autoencoder.
    """

    def __init__(self, vae: AudioVAE, clip: ClipSpec) -> None:
        super().__init__()
        if vae.config.mel_bins != clip.mel_bins:
            raise UsageError(
                f"the clip has {clip.mel_bins} mel bands, the audio autoencoder {vae.config.mel_bins}: "
                "give both stages the same clip_spec"
            )
        self.vae, self.mel, self.clip = vae, LogMel(clip), clip

    @property
    def channels(self) -> int:
        return self.vae.config.latent_channels

    @property
    def factors(self) -> AudioFactors:
        step = self.vae.config.time_factor * self.clip.hop
        return AudioFactors(rate=self.clip.audio_rate, step=step, first=step)

    def encode(self, sound: Tensor) -> Tensor:
        with torch.autocast(sound.device.type, enabled=False):
            mel = self.mel(sound)
        return self.vae.encode(mel)

    def decode(self, latents: Tensor) -> Tensor:
        mel = self.vae.decode(latents)
        with torch.autocast(latents.device.type, enabled=False):
            return self.mel.waveform(mel.float())
