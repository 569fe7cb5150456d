"""How well samples foretell a motion of which the film shows only one outcome."""

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
    """E |x - y| - E |x - x'| / 2 of two samples x, x' and the truth y: the first term is Eq. 9 at samples, the second
    rewards samples that differ.

    Its expectation is least where samples are distributed as true motions are, for which it is known as a proper score
    (Gneiting and Raftery, 2007). Eq. 9 alone is least where all samples are the median of what may follow: a head that
    hardly moves. Distances are root mean squares over time, of each channel for itself and of all together, which sees
    how they move with each other; of places and, as much, of velocities.

    Args:
        first: one sample of each motion.
        second: another one, independent of it.
        true: what followed.
        drift: how far each channel usually is from where it was, at each of the times: the unit of places.
        speed: its usual change from frame to frame: the unit of velocities.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        total = a.new_zeros(())
        for gap in ((a - b) / drift, (a - b).diff(dim=1) / speed):
            square = gap.square() + 1e-6  # the root's slope is infinite at zero
            total = total + square.mean(1).sqrt().mean() + square.mean((1, 2)).sqrt().mean()
        return total

    return (distance(first, true) + distance(second, true) - distance(first, second)) / 2
