"""The training step on XLA's CPU backend against the same step in eager PyTorch."""

import pytest
import torch

from veo_core.data.latents import LatentBucket, LatentClip, LatentLayout, store_shard
from veo_core.data.mapped import MappedShard
from veo_core.data.spec import ClipSpec
from veo_core.diffusion.flow import flow_losses
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train.base import BaseTraining, BatchSource
from veo_core.train.loop import fit
from veo_core.train.runtime import Runtime, RuntimeConfig

pytestmark = pytest.mark.xla

VOCABULARY = Vocabulary.from_captions(["a red circle moving left"])
SPEC = ClipSpec(frames=9, height=32, width=32)
SHAPE = JointTransformer.Config(
    clip=SPEC, text=TextEncoder.Config(vocabulary=VOCABULARY, length=8), width=32, depth=2, heads=2
)


def train(accelerator: str, store: Store, steps: int = 3) -> list[dict[str, float]]:
    runtime = Runtime(RuntimeConfig(accelerator=accelerator, bfloat16=False))
    config = BaseTraining(
        steps=steps, batch=4, log_every=1, warmup=0, text_length=8, runtime=runtime.config, learning_rate=1e-2
    )
    torch.manual_seed(0)
    model = runtime.place(JointTransformer(SHAPE))
    tensors = {"video": torch.randn(6, *SHAPE.video_shape), "audio": torch.randn(6, *SHAPE.audio_shape)}
    captions = {"caption": "a red circle moving left", "short_caption": "a red circle"}
    named = [LatentClip(clip_id=str(row), split="train", bucket="b", row=row, **captions) for row in range(6)]
    shard = MappedShard(store_shard(tensors, named, store), 6, store, made_by="encode_latents")
    clips = LatentBucket("b", LatentLayout(clip=SPEC, video_channels=16, audio_channels=16), [shard])
    source = BatchSource(clips, VOCABULARY, config, runtime)
    context = Context(stage="base", store=store, seed=0, key=accelerator, workers=1)
    return fit(
        model,
        lambda generator: flow_losses(model, source.draw(generator)),
        config=config,
        runtime=runtime,
        context=context,
    )


def test_three_steps_on_xla_have_the_losses_of_eager_pytorch(tmp_path):
    store = Store(str(tmp_path))
    xla = train("xla", store)  # first: autograd learns of devices at its first backward pass
    eager = train("cpu", store)
    assert [row["step"] for row in xla] == [1, 2, 3]
    for name in ("loss", "video", "audio", "gradient"):
        assert [row[name] for row in xla] == pytest.approx([row[name] for row in eager], rel=1e-3)
    assert eager[0]["loss"] != eager[2]["loss"]


def test_further_steps_on_xla_compile_nothing_new(tmp_path):
    import torch_xla.debug.metrics as metrics

    train("xla", Store(str(tmp_path / "first")))
    metrics.clear_all()
    train("xla", Store(str(tmp_path / "second")), steps=5)
    assert metrics.metric_data("ExecuteTime")[0] >= 5
    assert metrics.metric_data("CompileTime") is None
