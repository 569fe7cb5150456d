"""Fig. 6: identity in the latent space of motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dfa_nerfstudio.attributes.motion_dataset import prepare_motion_sequences
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.evaluation.motion.latent_summary import latent_summary, principal_plane
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy
from dfa_nerfstudio.evaluation.systems.person_data import PersonData


@dataclass
class LatentProjection:
    """One point for each window of 64 frames of every clip."""

    plane: Float[np.ndarray, "N 2"]
    """First two principal components of the mean and the standard deviation of z over the window."""
    clips: list[str]
    """Name of the clip of each point."""
    accuracy: float
    """Fraction of windows whose nearest neighbour, among those of other halves of clips, is of the same clip."""
    chance: float
    """Expected accuracy of a random neighbour."""


@torch.no_grad()
def project_latents(person: PersonData) -> LatentProjection:
    """Encodes the training frames of the person and of the reference clips, each relative to its own mean pose.

    Args:
        person: a person's data with reference clips.

    Raises:
        UserError: if a clip cannot be read.
    """
    models, folder = person.models, person.folder
    mine = Recording.from_clip(folder.attributes, slice(folder.num_train), folder.path.resolve().name)
    points, clips, halves = [], [], []
    window = models.config.cross_modal.window
    for recording in [mine, *person.others]:
        motion, _ = prepare_motion_sequences(models, [recording]).windows(window, window // 2)
        if len(motion):
            points.append(latent_summary(models.vae.encode(motion).mean))
            clips += [Path(recording.name).name] * len(motion)
            # neighbours are sought in the other half of a clip, because windows of one half overlap
            halves += [f"{recording.name} {index * 2 // len(motion)}" for index in range(len(motion))]
    together = np.concatenate(points)
    share = np.mean([clips.count(name) / len(clips) for name in clips])
    return LatentProjection(principal_plane(together), clips, identity_accuracy(together, clips, halves), float(share))
