"""Published metrics on networks of random weights: values of independent implementations, pinned digests."""

import hashlib
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchmetrics.functional.multimodal import clip_score
from torchvision.models.video import r3d_18
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from benchmarks.degrade import world_footage
from veo_core.errors import UsageError
from veo_core.evaluate.distances import frechet
from veo_core.evaluate.networks import (
    AudioFeatures,
    AudioNetwork,
    ClipScorer,
    LpipsWeights,
    NetworksConfig,
    PictureDistance,
    SoundOffset,
    SyncNetwork,
    VideoFeatures,
    VideoNetwork,
    Weights,
    open_networks,
    spread,
)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return world_footage(1, 0)[0].frames


class VideoNet(torch.nn.Module):
    """Stands where I3D stands: takes its switches, and pixels of 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(3, 8, 3, stride=2)

    def forward(self, x: torch.Tensor, rescale: bool = False, return_features: bool = False) -> torch.Tensor:
        if rescale:
            x = x / 127.5 - 1.0
        features = self.conv(x).relu().mean(dim=(2, 3, 4))
        return features if return_features else features.sum(dim=1, keepdim=True)


class AudioNet(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unfold(1, 1600, 1600).square().mean(dim=2, keepdim=True).repeat(1, 1, 3)


def script(module: torch.nn.Module, path: Path) -> Path:
    torch.jit.script(module.eval()).save(str(path))
    return path


@pytest.fixture(scope="module")
def video_net(tmp_path_factory) -> VideoNetwork:
    torch.manual_seed(0)
    path = script(VideoNet(), tmp_path_factory.mktemp("net") / "video.pt")
    return VideoNetwork(path=str(path), sha256=sha(path), frames=8)


def test_video_features_are_those_of_the_program(video_net, frames):
    found = VideoFeatures(video_net)(frames)
    program = torch.jit.load(video_net.path)
    windows = torch.from_numpy(frames[:16]).reshape(2, 8, *frames.shape[1:]).permute(0, 4, 1, 2, 3).float()
    expected = program(windows, rescale=True, return_features=True).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_clip_shorter_than_a_window_gives_one(video_net, frames):
    assert VideoFeatures(video_net)(frames[:3]).shape == (1, 8)


def test_frechet_video_distance_grows_with_every_step_of_noise(video_net):
    clips = [clip.frames for clip in world_footage(10, 1)]
    network = VideoFeatures(video_net)
    real = np.concatenate([network(c) for c in clips])
    rng = np.random.default_rng(0)
    values = []
    for level in (0, 10, 25, 50, 80, 120):
        noisy = [np.clip(c + level * rng.standard_normal(c.shape), 0, 255).astype(np.uint8) for c in clips]
        values.append(frechet(np.concatenate([network(c) for c in noisy]), real))
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values == sorted(values)


def test_safetensors_of_a_torchvision_network_give_its_pooled_features(tmp_path, frames):
    torch.manual_seed(1)
    model = r3d_18(weights=None).eval()
    path = tmp_path / "r3d_18.safetensors"
    save_file(model.state_dict(), path)
    found = VideoFeatures(VideoNetwork(path=str(path), sha256=sha(path), kind="r3d_18", frames=4))(frames[:4])
    seen = {}
    model.avgpool.register_forward_hook(lambda module, args, output: seen.update(pooled=output.flatten(1)))
    video = torch.from_numpy(frames[:4]).permute(3, 0, 1, 2)[None].float() / 255
    video = torch.nn.functional.interpolate(video, (4, 112, 112), mode="trilinear", align_corners=False)
    mean, std = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
    with torch.inference_mode():
        model((video - torch.tensor(mean).view(3, 1, 1, 1)) / torch.tensor(std).view(3, 1, 1, 1))
    np.testing.assert_allclose(found, seen["pooled"].numpy(), rtol=1e-4, atol=1e-5)


def test_audio_features_hear_at_the_rate_of_the_program(tmp_path):
    path = script(AudioNet(), tmp_path / "audio.pt")
    network = AudioFeatures(AudioNetwork(path=str(path), sha256=sha(path), rate=16_000))
    sound = np.full(48_000, 0.5, np.float32)
    found = network(sound, 48_000)
    assert found.shape == (10, 3)
    np.testing.assert_allclose(found[1:-1], 0.25, rtol=1e-2)


class Correlates(torch.nn.Module):
    """Scores 21 offsets from -2 to 2 s by how well loudness follows light."""

    def forward(self, video: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
        light = video.mean(dim=(2, 3, 4))
        loud = sound.unfold(1, 640, 640).square().mean(dim=2)
        light = light - light.mean(dim=1, keepdim=True)
        scores = []
        for step in range(-10, 11):
            scores.append((light * torch.roll(loud, -5 * step, 1)).sum(dim=1))
        return torch.stack(scores, dim=1)


def flashes(seconds: float, late: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures at 50 a second that flash now and then, their times, and clicks so much later, at 48 kHz."""
    pts = np.arange(round(50 * seconds)) / 50
    frames, sound = np.zeros((len(pts), 32, 48, 3), np.uint8), np.zeros(round(48_000 * seconds), np.float32)
    for time in (0.8, 1.36, 2.24, 2.92, 4.0, 4.48, 5.2):
        frames[(pts >= time - 1e-9) & (pts < time + 0.04 - 1e-9)] = 255
        start = round(48_000 * (time + late))
        sound[start : start + 1920] = 0.5
    return frames, pts, sound


@pytest.fixture(scope="module")
def offsets(tmp_path_factory) -> SoundOffset:
    path = script(Correlates(), tmp_path_factory.mktemp("sync") / "sync.pt")
    return SoundOffset(SyncNetwork(path=str(path), sha256=sha(path), side=16))


@pytest.mark.parametrize("late", [0.0, 0.2, 0.4, -0.4, 0.6])
def test_desync_is_the_size_of_the_offset_that_the_network_hears(offsets, late):
    assert offsets(*flashes(6.4, late), 48_000) == pytest.approx(abs(late), abs=1e-6)


def test_desync_is_not_told_of_clips_shorter_than_a_window(offsets):
    frames, pts, sound = flashes(6.4, 0.0)
    assert offsets(frames[:200], pts[:200], sound, 48_000) is None
    assert offsets(frames, pts, sound[:96_000], 48_000) is None


def test_lpips_equals_the_lpips_package(tmp_path, frames):
    torch.manual_seed(2)
    theirs = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()
    with torch.no_grad():
        for head in theirs.lins:
            head.model[1].weight.abs_()
    path = tmp_path / "lpips.safetensors"
    save_file({k: v for k, v in theirs.state_dict().items() if "lins." not in k}, path)
    ours = PictureDistance(LpipsWeights(path=str(path), sha256=sha(path), net="alex"))
    one, other = frames[:4], frames[8:12]
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (one, other))
    with torch.inference_mode():
        expected = float(theirs(a, b).mean())
    assert ours(one, other) == pytest.approx(expected, rel=1e-3)
    assert ours(one, one) == pytest.approx(0.0, abs=1e-7)
    noise = np.random.default_rng(0).standard_normal(one.shape)
    steps = [
        ours(np.clip(one + level * noise, 0, 255).astype(np.uint8), one) for level in (5, 15, 30, 50, 80, 120)
    ]
    assert steps == sorted(steps)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> Path:
    """A tiny CLIP of random weights, saved as transformers saves one."""
    folder = tmp_path_factory.mktemp("clip")
    words = sorted(set("abcdefghijklmnopqrstuvwxyz") | {f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz"})
    vocabulary = {word: n for n, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[])
    end = vocabulary["<|endoftext|>"]
    text = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    torch.manual_seed(3)
    model = CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)
    )
    model.save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


class WithPlainFeatures(CLIPModel):
    """Gives features as transformers 4 did, which torchmetrics 1.9 expects."""

    def get_image_features(self, *args, **kwargs):
        return super().get_image_features(*args, **kwargs).pooler_output

    def get_text_features(self, *args, **kwargs):
        return super().get_text_features(*args, **kwargs).pooler_output


def test_clip_score_equals_torchmetrics_over_eight_frames(clip_folder, frames):
    ours = ClipScorer(Weights(path=str(clip_folder), sha256=sha(clip_folder / "model.safetensors")), 8)
    prompt = "a red circle moving left"
    shown = torch.from_numpy(spread(frames, 8)).permute(0, 3, 1, 2)

    model = WithPlainFeatures.from_pretrained(clip_folder).eval()
    processor = CLIPProcessor.from_pretrained(clip_folder)
    found = [
        float(clip_score(picture, prompt, model_name_or_path=lambda: (model, processor))) for picture in shown
    ]
    assert ours(prompt, frames) == pytest.approx(np.mean(found), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("count", [8, 12])
def test_frames_are_spread_over_the_whole_clip(count):
    frames = np.arange(30, dtype=np.uint8)[:, None, None, None]
    shown = spread(frames, count)[:, 0, 0, 0].tolist()
    assert (shown[0], shown[-1], len(shown)) == (0, 29, count)
    assert max(np.diff(shown)) <= 5


def test_fewer_than_eight_frames_are_refused():
    with pytest.raises(UsageError, match="frames"):
        NetworksConfig.parse({"frames": 1}, where="evaluate.networks")


def test_altered_weights_are_refused(video_net, tmp_path):
    path = tmp_path / "altered.pt"
    data = bytearray(Path(video_net.path).read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UsageError, match=r"altered\.pt: its sha256 is"):
        open_networks(NetworksConfig(video=VideoNetwork(path=str(path), sha256=video_net.sha256)))


def test_missing_and_foreign_weights_are_one_line(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        VideoFeatures(VideoNetwork(path=str(tmp_path / "none.pt"), sha256="0" * 64))
    path = tmp_path / "text.pt"
    path.write_bytes(b"no program")
    with pytest.raises(UsageError, match="no TorchScript program"):
        VideoFeatures(VideoNetwork(path=str(path), sha256=sha(path)))
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(UsageError, match="no weights of r3d_18"):
        VideoFeatures(VideoNetwork(path=str(path), sha256=sha(path), kind="r3d_18"))
