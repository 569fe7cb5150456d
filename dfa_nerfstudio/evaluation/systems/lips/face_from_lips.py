"""The lower face that goes with a lip shape, so that sync models can score lips that are not rendered."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.face.landmarks_68 import NUM_LANDMARKS_68, UPPER_FACE_68


class FaceFromLips(nn.Module):
    """A linear map from f_m to the displacements of jaw, nose and lips, fitted to a person's training frames. Brows and
    eyes are at rest."""

    weight: Tensor
    """Linear map [K + 1, 204]; its last row is the constant."""

    def __init__(self, lips: Float[Tensor, "N K"], expression: Float[Tensor, "N 68 3"]) -> None:
        super().__init__()
        lower = expression.clone()
        lower[:, UPPER_FACE_68] = 0
        self.register_buffer("weight", torch.linalg.lstsq(_with_constant(lips), lower.flatten(1)).solution)

    def forward(self, lips: Float[Tensor, "*B K"]) -> Float[Tensor, "*B 68 3"]:
        """Computes displacements from the face without expression, in head space; differentiable."""
        return (_with_constant(lips) @ self.weight).unflatten(-1, (NUM_LANDMARKS_68, 3))


def _with_constant(lips: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K+1"]:
    return torch.cat([lips, torch.ones_like(lips[..., :1])], -1)
