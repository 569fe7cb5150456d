"""From calibrated eye opening to the eye embedding f_e and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.face.landmarks_68 import LEFT_EYE, RIGHT_EYE


class EyeEmbedding(nn.Module):
    """f_e of an eye opening.

    Held-out frames, generated blinks and a viewer's slider all know an opening (0 closed to 1 open, per eye) and no
    eye landmarks. On training frames each eye's landmarks are regressed linearly on its opening, which is a lid
    distance and so nearly linear in them; the neutral (mean) face with its eyes posed so is encoded by E_L. One way
    for all of them means that they agree.
    """

    coefficients: Tensor
    readout: Tensor

    def __init__(self, autoencoder: DisentanglingAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        features = 1 + autoencoder.config.eye_dim + autoencoder.config.eye_dim * (autoencoder.config.eye_dim + 1) // 2
        self.register_buffer("coefficients", torch.zeros(2, 2, 6, 3))
        """Per eye: offset and slope of each landmark."""
        self.register_buffer("readout", torch.zeros(features, 2))
        """Opening from the quadratic monomials of f_e."""

    @torch.no_grad()
    def learn(self, landmarks: Float[Tensor, "T 68 3"], opening: Float[Tensor, "T 2"]) -> None:
        """Least squares on training frames, both ways."""
        self.to(landmarks.device)
        for side, eye in enumerate((LEFT_EYE, RIGHT_EYE)):
            # Weighted so that the rare closed eyes count as much as the open ones.
            closed = opening[:, side] < 0.5
            weight = torch.where(closed, 1 / closed.sum().clamp(min=1), 1 / (~closed).sum().clamp(min=1)).sqrt()[
                :, None
            ]
            inputs = torch.stack([torch.ones(len(opening)).to(opening), opening[:, side]], -1)  # [T, 2]
            # A hair of ridge on the slope: a person who never blinks has almost the same opening throughout.
            prior = torch.diag(torch.tensor([0.0, 1e-3])).to(opening)
            gram = (weight * inputs).T @ (weight * inputs) + prior
            self.coefficients[side] = torch.linalg.solve(
                gram, (weight * inputs).T @ (weight * landmarks[:, eye].flatten(1))
            ).view(2, 6, 3)
        grid = torch.linspace(0, 1, 21, device=opening.device)
        samples = torch.cartesian_prod(grid, grid)  # [441, 2]
        inputs = _monomials(self.from_opening(samples))
        ridge = 1e-5 * torch.eye(inputs.shape[1], device=inputs.device) * len(inputs)
        self.readout = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ samples)

    @torch.no_grad()
    def from_opening(self, opening: Float[Tensor, "T 2"]) -> Float[Tensor, "T E"]:
        """f_e of eye openings, the eye on the image's left first."""
        face = self.autoencoder.mean_face.repeat(len(opening), 1, 1)
        for side, eye in enumerate((LEFT_EYE, RIGHT_EYE)):
            offset, slope = self.coefficients[side]
            face[:, eye] = offset + slope * opening[:, side, None, None]
        return self.autoencoder.encode(face)[1]

    @torch.no_grad()
    def to_opening(self, eye: Float[Tensor, "T E"]) -> Float[Tensor, "T 2"]:
        """The opening that an f_e stands for, clamped to [0, 1]."""
        return (_monomials(eye) @ self.readout).clamp(0, 1)


def _monomials(values: Float[Tensor, "T E"]) -> Float[Tensor, "T F"]:
    """1, all values and all their products of two."""
    rows, columns = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
    return torch.cat([torch.ones_like(values[:, :1]), values, values[:, rows] * values[:, columns]], -1)
