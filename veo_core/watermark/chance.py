"""Probabilities that chance alone gives a reading."""

import math


def normal_tail(z: float) -> float:
    """Probability that a normal value of variance 1 is above `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def energy_tail(energy: float, values: int) -> float:
    """Probability that the squares of so many normal values, an even number, have a sum above `energy`.

    The chi-square tail of an even number of degrees of freedom is a Poisson distribution's sum.
    """
    half = energy / 2.0
    if not half:
        return 1.0
    terms = [count * math.log(half) - math.lgamma(count + 1) - half for count in range(values // 2)]
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def joined(first: float, second: float) -> float:
    """Fisher's joint p-value of two independent ones."""
    product = first * second
    return min(1.0, product * (1.0 - math.log(product))) if product > 0 else 0.0
