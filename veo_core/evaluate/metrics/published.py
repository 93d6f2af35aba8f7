"""Metrics of the literature that need published networks: text and picture, looks of pictures, sync."""

from veo_core.evaluate.metrics.declaration import mean_metric

_LPIPS = "LPIPS (1801.03924), package lpips"
_LPIPS_NEEDS = "networks.lpips: weights of LPIPS as safetensors, with their sha256"

METRICS = (
    mean_metric(
        "clip_score",
        "likeness of prompt and pictures, the mean over eight frames or more",
        lambda clip: clip.clip_score,
        better="higher",
        low=0.0,
        high=100.0,
        tier=2,
        needs="networks.clip: a folder of CLIP in transformers' layout, with the sha256 of its weights",
        source="CLIPScore (2104.08718), scaled by 100 as in torchmetrics",
    ),
    mean_metric(
        "lpips_first_frame",
        "first picture against the given one",
        lambda clip: clip.lpips_first_frame,
        better="lower",
        low=0.0,
        high=None,
        tier=2,
        needs=_LPIPS_NEEDS,
        source=_LPIPS,
        mode="i2v",
    ),
    mean_metric(
        "lpips_drift",
        "later pictures against the clip's first",
        lambda clip: clip.lpips_drift,
        better="neither",
        low=0.0,
        high=None,
        tier=2,
        needs=_LPIPS_NEEDS,
        source=_LPIPS,
    ),
    mean_metric(
        "desync",
        "offset of sound and picture that a network hears, the mean of first and last window",
        lambda clip: clip.desync,
        unit="s",
        better="lower",
        low=0.0,
        high=None,
        tier=2,
        needs="networks.sync: a network that tells offsets, such as Synchformer, with its sha256; long clips",
        source="DeSync (2412.15322), the mean over the first and the last 4.8 s",
    ),
)
