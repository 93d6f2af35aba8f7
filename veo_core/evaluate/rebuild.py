"""How much of real clips the model's own autoencoders keep."""

import json
from collections.abc import Sequence

import numpy as np
import torch

from veo_core.data.clips import Sample, decode_samples
from veo_core.data.spec import ClipSpec
from veo_core.evaluate.fidelity import ssim, stft_distance
from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.evaluate.metrics.catalogue import BY_NAME
from veo_core.evaluate.psnr import psnr
from veo_core.evaluate.records import SummaryRow
from veo_core.evaluate.summary import estimate_row
from veo_core.models.codecs import load_audio_codec, load_video_codec
from veo_core.progress import track
from veo_core.records.clip import Clip
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.storage import Store


def reconstruction_rows(
    files: ModelFiles, clips: Sequence[Clip], store: Store, *, seed: int
) -> list[SummaryRow]:
    """Real clips, encoded and decoded: PSNR and SSIM of pictures, STFT distance of sounds.

    Args:
        files: the model.
        clips: real clips that it was not trained on.
        store: what holds both.
        seed: of the intervals.

    Raises:
        UsageError: a file of the model is missing or damaged.
        ItemError: a clip cannot be decoded.
    """

    def pair(part: str) -> dict[str, FileRef]:
        return {kind: getattr(files, f"{part}_{kind}") for kind in ("weights", "config")}

    config = json.loads(store.get_bytes(files.base_config))
    spec = ClipSpec.parse(config["clip"], where="base: clip")
    video_codec = load_video_codec(pair("video_vae"), store, where="video VAE").eval()
    audio_codec = load_audio_codec(pair("audio_vae"), store, spec, where="audio VAE").eval()
    found: dict[str, list[float]] = {"vae_psnr": [], "vae_ssim": [], "vae_stft": []}
    for clip in track(clips, total=len(clips), label="rebuild clips", unit="clips"):
        sample = Sample(
            clip.clip_id, "", "", clip.facts.width, clip.facts.height, store.get_bytes(clip.media)
        )
        true = decode_samples([sample], spec)
        heard = true.audio.astype(np.float32) / 32767.0
        with torch.inference_mode():
            video = torch.from_numpy(true.video).float() / 127.5 - 1.0
            made = video_codec.decode(video_codec.encode(video)).clamp(-1.0, 1.0)
            sound = audio_codec.decode(audio_codec.encode(torch.from_numpy(heard)))
        rebuilt = ((made + 1.0) * 127.5).round().to(torch.uint8).numpy()
        shown, truth = (pictures[0].transpose(1, 2, 3, 0) for pictures in (rebuilt, true.video))
        found["vae_psnr"].append(psnr(shown, truth))
        found["vae_ssim"].append(ssim(shown, truth))
        found["vae_stft"].append(stft_distance(sound[0].float().numpy(), heard[0]))
    return [
        estimate_row(BY_NAME[name], "real", "", bootstrap_mean(values, seed=seed))
        for name, values in found.items()
    ]
