"""Published networks that metrics of tier 2 read clips with: weights by path or URI, pinned by sha256.

Nothing is downloaded that the configuration does not name, and nothing is unpickled: weights are safetensors,
or TorchScript, which torch's own restricted reader opens. A TorchScript file is a program, so it runs only
where its digest is the one that the operator states.
"""

import importlib.util
import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.storage.pinned import check_sha256, read_pinned

if TYPE_CHECKING:
    import torch

# torch takes seconds to import, and what is installed without the extra `train` lacks it: imported on need.

Floats = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]

LEAST_FRAMES = 8
_SHA256 = r"^[0-9a-f]{64}$"
_VIDEO_MEAN, _VIDEO_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_VIDEO_SIDE = 112


class Weights(Record):
    """Weights of a network."""

    path: str = Field(description="file, folder or URI")
    sha256: str = Field(
        pattern=_SHA256, description="of the weights; of several files, of all in their order"
    )


class LpipsWeights(Weights):
    """Weights of LPIPS, backbone and heads in one .safetensors."""

    net: Literal["vgg", "alex"] = Field(default="alex", description="backbone")


class VideoNetwork(Weights):
    """A network of video features, for FVD and KVD."""

    kind: Literal["torchscript", "r3d_18", "mc3_18", "r2plus1d_18"] = Field(
        default="torchscript",
        description="a program, or torchvision's network of that name with safetensors weights",
    )
    frames: int = Field(default=16, ge=2, description="pictures of a window")


class AudioNetwork(Weights):
    """A TorchScript network from mono sound [b, samples] to features [b, d] or [b, windows, d]."""

    rate: int = Field(default=16_000, ge=1000, description="samples per second that it hears")


class SyncNetwork(Weights):
    """A TorchScript network that hears how far sound and picture of a window are apart.

    It takes pictures [b, t, 3, side, side] and mono sound [b, samples], both in [-1, 1], and gives scores
    [b, offsets] of offsets that are evenly spread from -`furthest` to `furthest`. The defaults are
    Synchformer's (2401.16423).
    """

    fps: float = Field(default=25.0, gt=0, description="pictures per second that it sees")
    side: int = Field(default=224, ge=16, description="pixels of a side of the middle square that it sees")
    rate: int = Field(default=16_000, ge=1000, description="samples per second that it hears")
    seconds: float = Field(default=4.8, gt=0, description="length of a window")
    furthest: float = Field(default=2.0, gt=0, description="the largest offset that it tells, in seconds")


class NetworksConfig(Record):
    """The networks of published metrics; a metric without its network is not run."""

    clip: Weights | None = Field(default=None, description="a folder of CLIP, for CLIPScore")
    lpips: LpipsWeights | None = Field(default=None, description="for LPIPS")
    video: VideoNetwork | None = Field(default=None, description="for FVD and KVD")
    audio: AudioNetwork | None = Field(default=None, description="for FAD and KAD")
    sync: SyncNetwork | None = Field(default=None, description="for DeSync")
    frames: int = Field(default=LEAST_FRAMES, ge=LEAST_FRAMES, description="frames that CLIP sees of a clip")


def torch_is_missing() -> bool:
    """Whether this environment lacks torch, as one without the extra `train` does."""
    return importlib.util.find_spec("torch") is None


class ClipScorer:
    """CLIPScore (Hessel et al., 2104.08718) of a prompt and pictures: 100 max(cosine, 0), the pictures' mean.

    Raises:
        UsageError: the folder is missing, damaged, or its weights have another digest.
    """

    def __init__(self, weights: Weights, frames: int) -> None:
        from transformers import AutoProcessor, CLIPModel

        from veo_core.models.pretrained import component, from_folder, loaded, opened_folder

        self._frames = frames
        where = "networks.clip"
        with opened_folder(weights.path, where=where) as folder:
            files = sorted(component(folder, "clip", where=where).glob("*.safetensors"))
            data = b"".join(file.read_bytes() for file in files)
            check_sha256(data, weights.sha256, where=f"{where}: {weights.path}")
            self._model = from_folder(CLIPModel, folder, "clip", where=where).eval()
            self._processor = loaded(
                lambda: AutoProcessor.from_pretrained(files[0].parent, local_files_only=True), where=where
            )

    def __call__(self, prompt: str, frames: UInt8) -> float:
        """The score of `frames`, RGB uint8 [t, h, w, 3]."""
        import torch

        shown = spread(frames, self._frames)
        inputs = self._processor(
            text=[prompt], images=list(shown), return_tensors="pt", padding=True, truncation=True
        )
        with torch.inference_mode():
            found = self._model(**inputs)
        cosines = found.image_embeds @ found.text_embeds[0]
        return float(100.0 * cosines.clamp(min=0.0).mean())


class PictureDistance:
    """LPIPS of pairs of pictures, uint8 [n, h, w, 3].

    Raises:
        UsageError: the weights are missing, damaged, of another net, or have another digest.
    """

    def __init__(self, weights: LpipsWeights) -> None:
        from veo_core.models.perceptual import PerceptualConfig, PerceptualLoss

        _pinned(weights, "networks.lpips")
        self._loss = PerceptualLoss(PerceptualConfig(path=weights.path, net=weights.net))

    def __call__(self, one: UInt8, other: UInt8) -> float:
        """The mean distance over the pairs."""
        import torch

        def tensor(pictures: UInt8) -> "torch.Tensor":
            return torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0

        with torch.inference_mode():
            return float(self._loss(tensor(one), tensor(other)))


class VideoFeatures:
    """Features [windows, d] of the windows of a clip's pictures.

    Raises:
        UsageError: the weights are missing, damaged, or have another digest.
    """

    def __init__(self, network: VideoNetwork) -> None:
        import torch

        self._network = network
        where = "networks.video"
        data = _pinned(network, where)
        if network.kind == "torchscript":
            self._model: Any = _script(data, where)
        else:
            from safetensors.torch import load
            from torchvision.models import video

            self._model = getattr(video, network.kind)(weights=None)
            try:
                self._model.load_state_dict(load(data))
            except (RuntimeError, ValueError) as error:
                raise UsageError(f"{where}: no weights of {network.kind}: {_line(error)}") from None
            self._model.fc = torch.nn.Identity()
        self._model.eval()

    def __call__(self, frames: UInt8) -> Floats:
        """Features of RGB pictures uint8 [t, h, w, 3]; a clip shorter than a window is stretched to one."""
        import torch

        size = self._network.frames
        count = max(1, len(frames) // size)
        windows = frames[: count * size] if len(frames) >= size else spread(frames, size)
        with torch.inference_mode():
            found = self._run(torch.from_numpy(windows.reshape(count, size, *frames.shape[1:])))
        return np.asarray(found.reshape(count, -1).double().numpy())

    def _run(self, windows: "torch.Tensor") -> "torch.Tensor":
        """Windows uint8 [n, t, h, w, 3] to features [n, d]."""
        import torch
        from torch.nn import functional as F

        video = windows.permute(0, 4, 1, 2, 3).float()
        if self._network.kind == "torchscript":
            # The I3D program of StyleGAN-V scales and resizes by itself, and gives features where told to.
            known = {argument.name for argument in self._model.forward.schema.arguments}
            switches = known & {"rescale", "resize", "return_features"}
            found: torch.Tensor = self._model(video, **dict.fromkeys(switches, True))
            return found
        size = (video.shape[2], _VIDEO_SIDE, _VIDEO_SIDE)
        video = F.interpolate(video / 255.0, size=size, mode="trilinear", align_corners=False)
        mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (_VIDEO_MEAN, _VIDEO_STD))
        features: torch.Tensor = self._model((video - mean) / std)
        return features


class AudioFeatures:
    """Features [windows, d] of mono sound.

    Raises:
        UsageError: the program is missing, damaged, or has another digest.
    """

    def __init__(self, network: AudioNetwork) -> None:
        self._rate = network.rate
        self._model = _script(_pinned(network, "networks.audio"), "networks.audio").eval()

    def __call__(self, samples: npt.NDArray[np.float32], rate: int) -> Floats:
        """Features of `samples` [l] in [-1, 1] at `rate` a second."""
        import torch

        from veo_core.data.resample import resample

        with torch.inference_mode():
            sound = resample(torch.from_numpy(samples)[None], rate, self._rate)
            found = self._model(sound)
        return np.asarray(found.reshape(-1, found.shape[-1]).double().numpy())


class SoundOffset:
    """DeSync (Cheng et al., "MMAudio", 2412.15322): by how much sound and picture seem to be apart.

    Raises:
        UsageError: the program is missing, damaged, or has another digest.
    """

    def __init__(self, network: SyncNetwork) -> None:
        self._network = network
        self._model = _script(_pinned(network, "networks.sync"), "networks.sync").eval()

    def __call__(
        self, frames: UInt8, pts: Floats, samples: npt.NDArray[np.float32], rate: int
    ) -> float | None:
        """Mean size in seconds of the likeliest offsets of a clip's first and last window.

        Args:
            frames: RGB pictures [t, h, w, 3].
            pts: their presentation times in seconds [t].
            samples: sound [l] in [-1, 1] from the first picture on.
            rate: samples per second.

        Returns:
            None where picture or sound is shorter than a window.
        """
        import torch

        from veo_core.data.resample import resample

        window = self._network
        last = min(len(frames) * float(np.median(np.diff(pts))), len(samples) / rate) - window.seconds
        if last < 0:
            return None
        times = np.arange(round(window.seconds * window.fps)) / window.fps
        length = round(window.seconds * window.rate)
        sound = resample(torch.from_numpy(samples)[None], rate, window.rate)[0]
        pictures, sounds = [], []
        for start in (0.0, last):
            shown = np.searchsorted(pts, start + times + 1e-6, side="right") - 1
            pictures.append(squared(frames[np.clip(shown, 0, None)], window.side))
            first = round(start * window.rate)
            heard = sound[first : first + length]
            sounds.append(torch.nn.functional.pad(heard, (0, length - len(heard))))
        video = torch.from_numpy(np.stack(pictures)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0
        with torch.inference_mode():
            scores = self._model(video, torch.stack(sounds))
        offsets = torch.linspace(-window.furthest, window.furthest, scores.shape[1])
        return float(offsets[scores.argmax(dim=1)].abs().mean())


class Networks:
    """The networks that a configuration names, loaded."""

    def __init__(self, config: NetworksConfig) -> None:
        self.clip = ClipScorer(config.clip, config.frames) if config.clip else None
        self.lpips = PictureDistance(config.lpips) if config.lpips else None
        self.video = VideoFeatures(config.video) if config.video else None
        self.audio = AudioFeatures(config.audio) if config.audio else None
        self.sync = SoundOffset(config.sync) if config.sync else None


@lru_cache(maxsize=1)
def open_networks(config: NetworksConfig) -> Networks:
    """The networks of a configuration, loaded once in a process.

    Raises:
        UsageError: weights are missing, damaged or altered, or torch is not installed.
    """
    known = ("clip", "lpips", "video", "audio", "sync")
    named = [name for name in known if getattr(config, name) is not None]
    if named and torch_is_missing():
        raise UsageError(
            f"evaluate.networks.{named[0]}: needs torch, which is not installed here: pip install "
            "'veo-from-scratch[train]', or take the network out of the configuration"
        )
    return Networks(config)


def spread(frames: UInt8, count: int) -> UInt8:
    """`count` frames evenly spread over a clip, its first and last among them."""
    shown: UInt8 = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    return shown


def scaled(frames: UInt8, height: int, width: int) -> UInt8:
    """Pictures [t, h, w, 3] at another size."""
    resized = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(resized).astype(np.uint8)


def squared(frames: UInt8, side: int) -> UInt8:
    """The middle squares of pictures [t, h, w, 3], `side` pixels wide."""
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    resized = scaled(frames, max(side, round(height * scale)), max(side, round(width * scale)))
    top, left = (resized.shape[1] - side) // 2, (resized.shape[2] - side) // 2
    return resized[:, top : top + side, left : left + side]


def _pinned(weights: Weights, where: str) -> bytes:
    return read_pinned(weights.path, weights.sha256, where=f"{where}: {weights.path}")


def _script(data: bytes, where: str) -> Any:
    import torch

    try:
        return torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise UsageError(f"{where}: no TorchScript program: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
