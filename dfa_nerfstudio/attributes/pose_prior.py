"""A prior of head and torso poses, which keeps generated motion near the poses of the training video."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.motion_space import EYE_START

FRAME_STRIDE = 4
"""Stride in frames at which poses are compared, because a pose does not change faster."""
MAX_POSES = 1500
"""Maximum number of poses of a long video."""
MIN_SEPARATION = 50
"""Frames between two moments of a video from which on their poses count as different ones."""
REACH_QUANTILE = 0.9
"""Quantile of the distances between poses of different times that is the reach of a pose. Not the median: in a video in
which the head is mostly still, that is the noise of the tracker."""
ROOM = 1 / 3
"""How much farther than its reach a limited pose can be from the mean of the video's poses near it, in parts of the
reach."""
WIDENING = 0.25
"""Growth of the kernel's variance with the squared distance of a pose. Without it, the mean of a pose far from all
others would jump from one nearest pose to another."""


@dataclass
class PosePrior:
    """A kernel density of the poses of head and torso in the training frames."""

    poses: Float[Tensor, "K P"]
    """Standardised poses of the training frames."""
    bandwidth: float
    """Median squared distance from a pose to the nearest pose of another time."""
    reach: float
    """Distance to the nearest pose of another time that `REACH_QUANTILE` of the poses have at most; infinite in a video
    that is too short for a second time."""

    @classmethod
    def from_motion(cls, motion: Float[Tensor, "N C"]) -> PosePrior:
        """Collects the poses of standardised training frames in their order."""
        stride = max(FRAME_STRIDE, -(-len(motion) // MAX_POSES))
        poses = motion[::stride, :EYE_START]
        distance = torch.cdist(poses, poses).square()
        time = torch.arange(len(poses))
        same = (time[:, None] - time).abs() * stride < MIN_SEPARATION
        nearest = distance.masked_fill(same, torch.inf).amin(1)
        finite = nearest[nearest.isfinite()]
        if not len(finite):
            return cls(poses, 1.0, torch.inf)
        return cls(poses, max(float(finite.median()), 1e-6), max(float(finite.quantile(REACH_QUANTILE)), 1e-6) ** 0.5)

    def project(self, motion: Float[Tensor, "*N T C"]) -> Float[Tensor, "*N T C"]:
        """Shifts motion so that its last pose becomes a likely one: the kernel-weighted mean of the poses near it.

        A window that continues the shifted motion, and is blended onto the unshifted one, approaches that pose within
        `position_decay` frames (`blend_onset`). Without this, a head that has reached the end of its range stays there.
        """
        last = motion[..., -1:, :EYE_START]
        shift = self._mean_near(last, self.bandwidth) - last
        return torch.cat([motion[..., :EYE_START] + shift, motion[..., EYE_START:]], -1)

    def limit(self, motion: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
        """Moves poses that are far from all poses of the video softly towards them.

        Each axis within its range is not enough: the field was not trained on an unusual combination, and renders it
        with holes. A pose within its reach of the mean of the poses near it stays as it is. The function is continuous.
        """
        if not math.isfinite(self.reach):
            return motion
        pose = motion[..., :EYE_START]
        near = self._mean_near(pose, self.reach**2 / 2, WIDENING)
        distance = (pose - near).norm(dim=-1, keepdim=True).clamp(min=1e-9) / self.reach
        limited = torch.minimum(distance, 1 + ROOM * torch.tanh((distance - 1).clamp(min=0) / ROOM))
        return torch.cat([near + (pose - near) * limited / distance, motion[..., EYE_START:]], -1)

    def _mean_near(
        self, pose: Float[Tensor, "*N T P"], variance: float, widening: float = 0.0
    ) -> Float[Tensor, "*N T P"]:
        """Mean of the video's poses near each pose, weighted by a Gaussian kernel."""
        distance = torch.cdist(pose, self.poses).square()  # [*N, T, K]
        wide = variance + widening * distance.amin(-1, keepdim=True)
        return torch.softmax(-distance / (2 * wide), -1) @ self.poses

    def sample(self, candidates: Float[Tensor, "M T C"], generator: torch.Generator) -> Int[Tensor, ""]:
        """Draws the index of one of M motions with probabilities proportional to the likelihood of their poses.

        E_ah models how heads move and not which poses a person takes: without selection its motion would drift away
        window by window. Of several motions that are equally likely under E_ah, those near the poses of the video are
        selected more often, as by a Metropolis sampler: exp(-d^2 / bandwidth), with d the root mean square distance to
        the nearest poses.
        """
        distance = torch.cdist(candidates[:, ::FRAME_STRIDE, :EYE_START], self.poses).square().amin(-1).mean(-1)  # [M]
        probability = torch.softmax(-distance / self.bandwidth, 0)
        return torch.multinomial(probability, 1, generator=generator)[0]
