"""How far a rebuilt picture or sound is from the true one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_STILL = 1e-3  # of a pixel that never changes; in a clip without motion all count alike
_POOL = {1: F.avg_pool1d, 3: F.avg_pool3d}


def multiscale_loss(
    error: Tensor, windows: Sequence[tuple[int, ...]], weight: Tensor | None = None
) -> Tensor:
    """L1 + 2 L2 of an error and of its averages over windows: a scalar, the sum over the windows.

    L1 keeps edges sharp, L2 is what PSNR measures; averages make what is wrong as a whole, such as a
    place or a colour, weigh more than what is wrong here and there.

    Args:
        error: rebuilt less true, [b, c, l] or [b, c, t, h, w].
        windows: lengths along (l,) or (t, h, w); ones stand for the error itself.
        weight: of each position, [b, 1, ...], averaged over the same windows.
    """
    total = torch.zeros((), device=error.device)
    for window in windows:
        pooled, weights = error, weight
        if max(window) > 1:
            pool = _POOL[len(window)]
            pooled = pool(error, window)
            weights = None if weight is None else pool(weight, window)
        penalty = pooled.abs() + 2.0 * pooled.square()
        total = total + (penalty if weights is None else penalty * weights).mean()
    return total


def motion_weight(video: Tensor, share: float) -> Tensor:
    """Loss weight [b, 1, t, h, w] of mean 1 for each clip, of which `share` falls where something moves.

    Moving things are small; without it the still background owns the loss. What moves is a pixel as far as
    it is from its mean over time, and those beside it: the outline of a thing is half outside of it. Each
    clip has the same share, so that a small thing counts as much as a large one.
    """
    distance = (video - video.mean(2, keepdim=True)).abs().amax(1, keepdim=True)
    moving = F.max_pool3d(distance, (1, 3, 3), 1, (0, 1, 1)) + _STILL
    return 1.0 - share + share * moving / moving.mean((1, 2, 3, 4), keepdim=True)
