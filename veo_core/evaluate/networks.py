"""Published networks that metrics of tier 2 read clips with: weights by path or URI, pinned by sha256.

Nothing is downloaded that the configuration does not name, and nothing is unpickled: weights are safetensors,
or TorchScript, which torch's own restricted reader opens. A TorchScript file is a program, so it runs only
where its digest is the one that the operator states.
"""

import hashlib
import importlib.util
import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import cv2
import fsspec
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.storage.access import access_to

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


class NetworksConfig(Record):
    """The networks of published metrics; a metric without its network is not run."""

    clip: Weights | None = Field(default=None, description="a folder of CLIP, for CLIPScore")
    lpips: LpipsWeights | None = Field(default=None, description="for LPIPS")
    video: VideoNetwork | None = Field(default=None, description="for FVD and KVD")
    audio: AudioNetwork | None = Field(default=None, description="for FAD and KAD")
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
            _check(b"".join(file.read_bytes() for file in files), weights, where)
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

        _check(_read(weights, "networks.lpips"), weights, "networks.lpips")
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
        data = _read(network, where)
        _check(data, network, where)
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
        data = _read(network, "networks.audio")
        _check(data, network, "networks.audio")
        self._rate = network.rate
        self._model = _script(data, "networks.audio").eval()

    def __call__(self, samples: npt.NDArray[np.float32], rate: int) -> Floats:
        """Features of `samples` [l] in [-1, 1] at `rate` a second."""
        import torch

        from veo_core.data.resample import resample

        with torch.inference_mode():
            sound = resample(torch.from_numpy(samples)[None], rate, self._rate)
            found = self._model(sound)
        return np.asarray(found.reshape(-1, found.shape[-1]).double().numpy())


class Networks:
    """The networks that a configuration names, loaded."""

    def __init__(self, config: NetworksConfig) -> None:
        self.clip = ClipScorer(config.clip, config.frames) if config.clip else None
        self.lpips = PictureDistance(config.lpips) if config.lpips else None
        self.video = VideoFeatures(config.video) if config.video else None
        self.audio = AudioFeatures(config.audio) if config.audio else None


@lru_cache(maxsize=1)
def open_networks(config: NetworksConfig) -> Networks:
    """The networks of a configuration, loaded once in a process.

    Raises:
        UsageError: weights are missing, damaged or altered, or torch is not installed.
    """
    named = [name for name in ("clip", "lpips", "video", "audio") if getattr(config, name) is not None]
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


def _read(weights: Weights, where: str) -> bytes:
    with access_to(f"{where}: {weights.path}"):
        try:
            with fsspec.open(weights.path, "rb") as stream:
                data: bytes = stream.read()
        except FileNotFoundError:
            raise UsageError(f"{where}: {weights.path}: there is no such file") from None
        except (ImportError, ValueError, OSError) as error:
            raise UsageError(f"{where}: {weights.path} cannot be read: {_line(error)}") from None
    return data


def _check(data: bytes, weights: Weights, where: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise UsageError(
            f"{where}: the sha256 of {weights.path} is {found}, expected {weights.sha256}: fetch the "
            "file again, or state its digest if it is the one that you mean"
        )


def _script(data: bytes, where: str) -> Any:
    import torch

    try:
        return torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise UsageError(f"{where}: no TorchScript program: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
