"""Fig. 6: identity in the latent space of motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.motion_dataset import prepare_motion_sequences
from dfa_nerfstudio.attributes.recordings import Recording, read_recordings
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.motion.latent_summary import latent_summary, principal_plane
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy


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
def project_latents(folder: Path, reference_clips: Sequence[Path]) -> LatentProjection:
    """Encodes the training part of the person's clip and of other clips, each relative to its own mean pose.

    Args:
        folder: dataset folder with its attribute models.
        reference_clips: dataset folders of other clips.

    Raises:
        UserError: if one cannot be read.
    """
    models = AttributeModels.load(folder / MODELS_FILE_NAME)
    own = DatasetFolder.open(folder)
    recordings, _ = read_recordings(list(reference_clips))
    mine = Recording.from_clip(own.attributes, slice(own.num_train), folder.resolve().name)
    points, clips, halves = [], [], []
    window = models.config.cross_modal.window
    for recording in [mine, *recordings]:
        motion, _ = prepare_motion_sequences(models, [recording]).windows(window, window // 2)
        if len(motion):
            points.append(latent_summary(models.vae.encode(motion).mean))
            clips += [Path(recording.name).name] * len(motion)
            # neighbours are sought in the other half of a clip, because windows of one half overlap
            halves += [f"{recording.name} {index * 2 // len(motion)}" for index in range(len(motion))]
    together = np.concatenate(points)
    share = np.mean([clips.count(name) / len(clips) for name in clips])
    return LatentProjection(principal_plane(together), clips, identity_accuracy(together, clips, halves), float(share))
