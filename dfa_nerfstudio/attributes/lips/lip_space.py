"""Lip shapes as a few principal components: the mouth embedding f_m that conditions the field."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.face.landmarks_68 import LIPS_68, LOWER_LIP_68, UPPER_LIP_68

NUM_LIP_VALUES = 60
"""Coordinates of the 20 lip landmarks."""


class LipSpace(nn.Module):
    """Linear map between lip landmarks and K components.

    Landmarks are displacements from the face without expression, in head space (`Recording.expression`), so that
    components of one person can be expressed as those of another (`basis_change`). Components have zero mean, and the
    first one has unit variance, over the person's frames; so people whose lips move more or less are comparable.
    """

    mean: Tensor
    """Mean displacement [60]."""
    basis: Tensor
    """Orthonormal components [K, 60]."""
    scale: Tensor
    """Standard deviation of the first component, in head space units."""

    def __init__(self, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(NUM_LIP_VALUES))
        self.register_buffer("basis", torch.eye(NUM_LIP_VALUES)[:num_components])
        self.register_buffer("scale", torch.tensor(1.0))

    def fit(self, expression: Float[Tensor, "N 68 3"]) -> None:
        """Sets the principal components of N training frames."""
        self.mean = expression[:, LIPS_68].flatten(1).mean(0)
        centred = self.centred(expression).double()
        self.basis = torch.linalg.svd(centred, full_matrices=False)[2][: len(self.basis)].float()
        self.scale = (centred.float() @ self.basis[0]).std().clamp(min=1e-6)

    def recentred(self, expression: Float[Tensor, "N 68 3"]) -> LipSpace:
        """This space with the mean of other frames, because the mean differs with the person, the view and the fit of
        the head shape."""
        other = copy.deepcopy(self)
        other.mean = self.mean + self.centred(expression).mean(0)
        return other

    def centred(self, expression: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T 60"]:
        """Displacements of the lip landmarks minus their mean."""
        return expression[:, LIPS_68].flatten(1) - self.mean

    def encode(self, expression: Float[Tensor, "T 68 3"]) -> Float[Tensor, "T K"]:
        """Computes the components of frames."""
        return self.centred(expression) @ self.basis.T / self.scale

    def decode(self, lips: Float[Tensor, "T K"]) -> Float[Tensor, "T 20 3"]:
        """Computes displacements of the lip landmarks."""
        return (lips * self.scale @ self.basis + self.mean).unflatten(-1, (-1, 3))

    def opening(self, lips: Float[Tensor, "T K"]) -> Float[Tensor, " T"]:
        """Computes the gap between the inner lips minus that of the face without expression, in head space units."""
        height = self.decode(lips)[..., 1]
        first = LIPS_68.start
        upper, lower = ([index - first for index in group] for group in (UPPER_LIP_68, LOWER_LIP_68))
        return (height[:, upper] - height[:, lower]).mean(1)

    def basis_change(self, other: LipSpace) -> Float[Tensor, "K J"]:
        """Computes the linear map from another space's J components to this space's, both centred and normalised."""
        return self.basis @ other.basis.T

    def gap_slope(self) -> Float[Tensor, " K"]:
        """Computes the change of `opening` per unit of each component."""
        units = torch.eye(len(self.basis)).to(self.basis)
        return self.opening(units) - self.opening(torch.zeros_like(units[:1]))
