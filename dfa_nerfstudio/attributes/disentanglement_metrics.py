"""How far apart mouth and eyes are in f_m and f_e, on faces that trained nothing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.face.landmarks_68 import EYES, LIPS, compose, lid_gaps, lip_gap

COMPOSED = 4000
"""Faces of eyes and mouths drawn independently of each other that the embeddings are read from."""
RIDGE = 1e-4


@torch.no_grad()
def swap_figures(model: DisentanglingAutoencoder, faces: Float[Tensor, "T 68 3"]) -> dict[str, float]:
    """Reconstruction, and what a swap moves that it should not.

    Args:
        model: F_d.
        faces: in head space; each is swapped with the one half of them further on.

    Returns:
        Name to value: the mean distance of a landmark from its true place in percent of the distance of the outer eye
        corners, and movements relative to what a true change moves (0 is perfectly apart, 1 not at all).
    """
    mouth, eye = model.encode(faces)
    rebuilt = model.decode(mouth, eye)
    other = torch.arange(len(faces)).roll(len(faces) // 2)
    true_change = (faces - faces[other]).abs().mean((0, 2)).clamp(min=1e-9)  # [68]

    def moved(swapped: Tensor, region: slice) -> float:
        return float(((swapped - rebuilt).abs().mean((0, 2))[region].mean()) / true_change[region].mean())

    return {
        "landmark error, %": 100 * float((rebuilt - faces).norm(dim=-1).mean()),
        "eyes moved by mouth swap": moved(model.decode(mouth[other], eye), EYES),
        "mouth moved by eye swap": moved(model.decode(mouth, eye[other]), LIPS),
    }


@torch.no_grad()
def composed_faces(
    model: DisentanglingAutoencoder, faces: Float[Tensor, "T 68 3"], generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(f_m, f_e) and (`lip_gap`, `lid_gaps`) of `COMPOSED` faces of independently drawn eyes and mouths."""
    upper, lower = torch.randint(len(faces), (2, COMPOSED), generator=generator)
    composed = compose(faces[upper], faces[lower])
    return model.encode(composed), (lip_gap(composed), lid_gaps(composed))


def readings(
    model: DisentanglingAutoencoder, train: Float[Tensor, "N 68 3"], test: Float[Tensor, "M 68 3"], seed: int = 0
) -> dict[str, float]:
    """R2 of mouth and eye opening as linear readings of f_m and f_e, on faces composed of independent eyes and mouths.

    Args:
        model: F_d.
        train: one person's faces, which the readings are fitted on.
        test: those that they are scored on.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    sets = [composed_faces(model, faces, generator) for faces in (train, test)]
    result = {}
    for feature, name in enumerate(("f_m", "f_e")):
        for value, what in enumerate(("mouth opening", "eye opening")):
            fitted, scored = ((embeddings[feature], values[value]) for embeddings, values in sets)
            result[f"{what} from {name}, R2"] = ridge_correlation(fitted, scored, RIDGE)[1]
    return result
