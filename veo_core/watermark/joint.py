"""The joint p-value of independent tests."""

import math


def joined(first: float, second: float) -> float:
    """Fisher's joint p-value of two independent ones."""
    product = first * second
    return min(1.0, product * (1.0 - math.log(product))) if product > 0 else 0.0
