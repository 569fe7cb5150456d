"""The energy score, a proper scoring rule for sampled motion."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def energy_score(
    first: Float[Tensor, "N T C"],
    second: Float[Tensor, "N T C"],
    true: Float[Tensor, "N T C"],
    drift: Float[Tensor, "T C"],
    speed: Float[Tensor, " C"],
) -> Float[Tensor, ""]:
    """Computes E |x - y| - E |x - x'| / 2 of two samples x, x' and the truth y; lower is better.

    The first term is Eq. 9 at samples, the second rewards samples that differ. Its expectation is minimal where samples
    have the distribution of true motions: it is a proper score (Gneiting and Raftery, 2007). Eq. 9 alone is minimal
    where all samples are the median of the possible futures, a head that hardly moves. Distances are root mean squares
    over time: of each channel, and of all channels together, which is sensitive to their dependence. Distances of
    positions and of velocities are added with equal weight.

    Args:
        first: one sample of each motion.
        second: an independent sample of each motion.
        true: the true motion.
        drift: reference change of each channel from the last known frame, at each time: the unit of positions.
        speed: reference frame-to-frame change of each channel: the unit of velocities.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        total = a.new_zeros(())
        for gap in ((a - b) / drift, (a - b).diff(dim=1) / speed):
            square = gap.square() + 1e-6  # the slope of the root is infinite at zero
            total = total + square.mean(1).sqrt().mean() + square.mean((1, 2)).sqrt().mean()
        return total

    return (distance(first, true) + distance(second, true) - distance(first, second)) / 2
