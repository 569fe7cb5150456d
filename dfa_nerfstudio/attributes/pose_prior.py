"""Where a person's head and shoulders usually are: what is generated stays there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.motion_space import EYE_START

EVERY = 4
"""Frames between those that are looked at: a posture does not change faster."""
MOST = 1500
"""Postures that are kept of a long film."""
APART = 50
"""Frames from which on two moments of the film are not one posture."""


@dataclass
class UsualPostures:
    """The postures of head and torso in the training frames."""

    postures: Float[Tensor, "K P"]
    spread: float
    """Median squared distance from a posture to the nearest one of another time."""

    @classmethod
    def of(cls, motion: Float[Tensor, "N C"]) -> UsualPostures:
        """From standardised training frames in their order."""
        every = max(EVERY, -(-len(motion) // MOST))
        postures = motion[::every, :EYE_START]
        distance = torch.cdist(postures, postures).square()
        time = torch.arange(len(postures))
        near = (time[:, None] - time).abs() * every < APART
        nearest = distance.masked_fill(near, torch.inf).amin(1)
        known = nearest[nearest.isfinite()]
        return cls(postures, max(float(known.median()), 1e-6) if len(known) else 1.0)

    def laid_back(self, motion: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
        """The same motion, moved to where its last posture is a usual one: the mean of the postures near it.

        A window that goes on from there, laid on the motion as it was, comes back within `memory` frames (`joined`).
        Without that a head that has got to the end of its range stays there.
        """
        last = motion[-1:, :EYE_START]
        near = torch.softmax(-torch.cdist(last, self.postures).square() / (2 * self.spread), -1)  # [1, K]
        return torch.cat([motion[:, :EYE_START] + near @ self.postures - last, motion[:, EYE_START:]], 1)

    def choose(self, motions: Float[Tensor, "M T C"], generator: torch.Generator) -> Int[Tensor, ""]:
        """Draws one of M motions, each as often as the film makes its postures likely.

        E_ah knows how heads go on and not where they may be: left to itself, its motion would wander off, a little
        further with each window. Of several motions that it finds equally likely, those that stay near postures of the
        film are taken more often, as a Metropolis sampler would: exp(-d^2 / spread) with d the root mean square
        distance to the nearest postures.
        """
        wandering = torch.cdist(motions[:, ::EVERY, :EYE_START], self.postures).square().amin(-1).mean(-1)  # [M]
        chance = torch.softmax(-wandering / self.spread, 0)
        return torch.multinomial(chance, 1, generator=generator)[0]
