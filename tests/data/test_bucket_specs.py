import pytest

from veo_core.data.buckets import bucket_specs
from veo_core.data.spec import ClipSpec


def test_bucket_of_the_first_ones_scale_keeps_its_own_shape():
    specs = bucket_specs(["64x64x17", "112x64x33", "64x112x9"], ClipSpec(frames=17, width=64, height=64))
    shapes = [(spec.width, spec.height, spec.frames) for spec in specs.values()]
    assert shapes == [(64, 64, 17), (112, 64, 33), (64, 112, 9)]


def test_bucket_shrinks_in_space_and_time_by_the_factors_of_the_first():
    main = ClipSpec(frames=33, fps=16.0, width=128, height=128)
    spec = bucket_specs(["512x512x121", "832x480x61"], main)["832x480x61"]
    assert (spec.width, spec.height) == (208, 112)  # 208, 120, down to multiples of 16
    assert spec.frames == 17
    assert (spec.fps, spec.audio_rate, spec.upscale) == (16.0, 16_000, 2)


@pytest.mark.parametrize("name", ["64x8x17", "64x64x1"])
def test_bucket_of_which_nothing_is_left_has_no_clip(name):
    assert bucket_specs(["64x64x17", name], ClipSpec())[name] is None
