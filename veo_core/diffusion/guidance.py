"""Classifier-free guidance: Ho and Salimans (2207.12598)."""

from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Push a prediction away from the one made without the caption; scale 1 changes nothing."""
    return unconditional + scale * (conditional - unconditional)
