"""Measures how well f_m and f_e disentangle mouth and eyes, on faces that were not used for training."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingAutoencoder
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.face.landmarks_68 import EYES_68, LIPS_68, compose_face, lid_gaps, lip_gap

NUM_COMPOSED = 4000
"""Number of faces, composed of independently drawn eyes and mouths, that probes are fitted on and tested on."""
PROBE_RIDGE = 1e-4
"""Relative ridge strength of the probes."""


@torch.no_grad()
def swap_metrics(model: DisentanglingAutoencoder, faces: Float[Tensor, "T 68 3"]) -> dict[str, float]:
    """Measures reconstruction, and the movement of regions that a swap of embeddings should not move.

    Args:
        model: F_d.
        faces: faces in head space. Each is swapped with the face half the sequence later.

    Returns:
        Metrics by name: the mean distance of a landmark from its true position, in percent of the distance of the outer
        eye corners; and unwanted movements relative to those of a true change (0 is perfect disentanglement, 1 is
        none).
    """
    mouth, eye = model.encode(faces)
    rebuilt = model.decode(mouth, eye)
    other = torch.arange(len(faces)).roll(len(faces) // 2)
    true_change = (faces - faces[other]).abs().mean((0, 2)).clamp(min=1e-9)  # [68]

    def movement(swapped: Tensor, region: slice) -> float:
        return float(((swapped - rebuilt).abs().mean((0, 2))[region].mean()) / true_change[region].mean())

    return {
        "landmark error, %": 100 * float((rebuilt - faces).norm(dim=-1).mean()),
        "eyes moved by mouth swap": movement(model.decode(mouth[other], eye), EYES_68),
        "mouth moved by eye swap": movement(model.decode(mouth, eye[other]), LIPS_68),
    }


@torch.no_grad()
def composed_faces(
    model: DisentanglingAutoencoder, faces: Float[Tensor, "T 68 3"], generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Computes (f_m, f_e) and (`lip_gap`, `lid_gaps`) of `NUM_COMPOSED` faces with independent eyes and mouths."""
    upper, lower = torch.randint(len(faces), (2, NUM_COMPOSED), generator=generator)
    composed = compose_face(faces[upper], faces[lower])
    return model.encode(composed), (lip_gap(composed), lid_gaps(composed))


def probe_metrics(
    model: DisentanglingAutoencoder, train: Float[Tensor, "N 68 3"], test: Float[Tensor, "M 68 3"], seed: int = 0
) -> dict[str, float]:
    """Computes R2 of linear probes of mouth and eye opening on f_m and f_e, for faces composed of independent eyes and
    mouths.

    Args:
        model: F_d.
        train: one person's faces, on which the probes are fitted.
        test: faces on which the probes are tested.
        seed: random seed of the compositions.
    """
    generator = torch.Generator().manual_seed(seed)
    sets = [composed_faces(model, faces, generator) for faces in (train, test)]
    metrics = {}
    for feature, name in enumerate(("f_m", "f_e")):
        for value, target in enumerate(("mouth opening", "eye opening")):
            fitted, tested = ((embeddings[feature], values[value]) for embeddings, values in sets)
            metrics[f"{target} from {name}, R2"] = ridge_correlation(fitted, tested, PROBE_RIDGE)[1]
    return metrics
