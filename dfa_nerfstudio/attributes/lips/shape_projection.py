"""Projection of predicted lips onto the person's own lip shapes, locally linear."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NUM_NEIGHBOURS = 10
"""Number of own shapes that a projection is composed of, as in Live Speech Portraits."""
REGULARISATION = 1e-2
"""Part of the Gram matrix's trace that is added to its diagonal, which keeps weights of similar shapes small."""


def project_to_shapes(
    lips: Float[Tensor, "T K"], shapes: Float[Tensor, "N K"], strength: float = 1.0
) -> Float[Tensor, "T K"]:
    """Replaces lip components by the best combination of their nearest own shapes, with weights that sum to 1.

    Args:
        lips: components to project.
        shapes: components of the person's training frames.
        strength: 0 leaves `lips` unchanged, 1 projects fully.
    """
    count = min(NUM_NEIGHBOURS, len(shapes))
    if not strength or not count:
        return lips
    near = shapes[torch.cdist(lips, shapes).topk(count, largest=False).indices]  # [T, count, K]
    offset = near - lips[:, None]
    gram = offset @ offset.transpose(1, 2)
    trace = gram.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None]
    ridge = (REGULARISATION / count * trace + 1e-9) * torch.eye(count).to(gram)
    ones = torch.ones(len(lips), count, 1).to(gram)
    weights = torch.linalg.solve(gram + ridge, ones)[..., 0]
    weights = weights / weights.sum(1, keepdim=True)
    return torch.lerp(lips, (weights[..., None] * near).sum(1), strength)
