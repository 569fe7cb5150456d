"""Fig. 6: whether it can be seen in the latent space of motion whose motion it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.motion_dataset import motion_sequences
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.motion.latent_summary import latent_summary, principal_plane
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy


@dataclass
class Latent:
    """A point for each window of 64 frames of every film."""

    plane: Float[np.ndarray, "N 2"]
    """The first two principal components of mean and spread of z over the window."""
    film: list[str]
    accuracy: float
    """Share of windows whose nearest neighbour is of the same film, among neighbours that do not overlap it."""
    chance: float


@torch.no_grad()
def latent_points(folder: Path, others: Sequence[Path]) -> Latent:
    """Encodes the training part of the person's film and other films, each about its own mean posture.

    Args:
        folder: dataset folder with its attribute models.
        others: dataset folders of other films.

    Raises:
        UserError: if one cannot be read.
    """
    models = AttributeModels.load(folder / FILE_NAME)
    own = DatasetFolder.open(folder)
    recordings, _ = read_recordings(list(others))
    mine = Recording.of(own.attributes, slice(own.num_train), folder.resolve().name)
    points, films, halves = [], [], []
    window = models.config.cross_modal.window
    for recording in [mine, *recordings]:
        motion, _ = motion_sequences(models, [recording]).windows(window, window // 2)
        if len(motion):
            points.append(latent_summary(models.vae.encode(motion).mean))
            films += [Path(recording.name).name] * len(motion)
            # whole stretches are left out of each other's neighbours: first half against second
            halves += [f"{recording.name} {index * 2 // len(motion)}" for index in range(len(motion))]
    together = np.concatenate(points)
    share = np.mean([films.count(name) / len(films) for name in films])
    return Latent(principal_plane(together), films, identity_accuracy(together, films, halves), float(share))
