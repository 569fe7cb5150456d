"""Converts calibrated eye opening to the eye embedding f_e and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.attributes.linear_probe import ridge_regression
from dfa_nerfstudio.face.landmarks_68 import LEFT_EYE_68, RIGHT_EYE_68

CLOSED_OPENING = 0.5
"""Opening below which an eye counts as closed when training frames are weighted."""


class EyeEmbedding(nn.Module):
    """Conversion between eye opening and f_e.

    Held-out frames, generated blinks and a viewer's slider provide an opening (0 closed to 1 open, per eye) and no eye
    landmarks. On training frames each eye's landmarks are regressed linearly on its opening, which is a lid distance
    and therefore nearly linear in them. E_L then encodes the neutral (mean) face with eyes of that opening. All three
    use this same conversion, so that their f_e are consistent.
    """

    coefficients: Tensor
    """Offset and slope of each landmark of each eye [2, 2, 6, 3]."""
    readout: Tensor
    """Weights of the opening of both eyes on the quadratic monomials of f_e [F, 2]."""

    def __init__(self, autoencoder: DisentanglingAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        features = 1 + autoencoder.config.eye_dim + autoencoder.config.eye_dim * (autoencoder.config.eye_dim + 1) // 2
        self.register_buffer("coefficients", torch.zeros(2, 2, 6, 3))
        self.register_buffer("readout", torch.zeros(features, 2))

    @torch.no_grad()
    def fit(self, landmarks: Float[Tensor, "T 68 3"], opening: Float[Tensor, "T 2"]) -> None:
        """Fits both directions to training frames by least squares."""
        self.to(landmarks.device)
        for side, eye in enumerate((LEFT_EYE_68, RIGHT_EYE_68)):
            # Weighted so that the rare closed eyes count as much as the open ones.
            closed = opening[:, side] < CLOSED_OPENING
            weight = torch.where(closed, 1 / closed.sum().clamp(min=1), 1 / (~closed).sum().clamp(min=1)).sqrt()[
                :, None
            ]
            inputs = torch.stack([torch.ones(len(opening)).to(opening), opening[:, side]], -1)  # [T, 2]
            # A small ridge on the slope, because the opening of a person who never blinks is almost constant.
            penalty = torch.tensor([0.0, 1e-3]).to(opening)
            slopes = ridge_regression(weight * inputs, weight * landmarks[:, eye].flatten(1), penalty)
            self.coefficients[side] = slopes.view(2, 6, 3)
        grid = torch.linspace(0, 1, 21, device=opening.device)
        samples = torch.cartesian_prod(grid, grid)  # [441, 2]
        inputs = _monomials(self.from_opening(samples))
        self.readout = ridge_regression(inputs, samples, 1e-5 * len(inputs))

    @torch.no_grad()
    def from_opening(self, opening: Float[Tensor, "T 2"]) -> Float[Tensor, "T E"]:
        """Computes f_e of eye openings; the eye on the left of the image is first."""
        face = self.autoencoder.mean_face.repeat(len(opening), 1, 1)
        for side, eye in enumerate((LEFT_EYE_68, RIGHT_EYE_68)):
            offset, slope = self.coefficients[side]
            face[:, eye] = offset + slope * opening[:, side, None, None]
        return self.autoencoder.encode(face)[1]

    @torch.no_grad()
    def to_opening(self, eye: Float[Tensor, "T E"]) -> Float[Tensor, "T 2"]:
        """Computes the eye openings of f_e, clamped to [0, 1]."""
        return (_monomials(eye) @ self.readout).clamp(0, 1)


def _monomials(values: Float[Tensor, "T E"]) -> Float[Tensor, "T F"]:
    """1, all values, and all products of two values."""
    rows, columns = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
    return torch.cat([torch.ones_like(values[:, :1]), values, values[:, rows] * values[:, columns]], -1)
