"""Fig. 6: how well the person is identified from the motion latents Z, as a plot and as a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.corpus import Corpus, person
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_dataset import prepare_motion_sequences
from dfa_nerfstudio.evaluation.motion.latent_summary import latent_summary, principal_plane
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy

matplotlib.use("agg")
import matplotlib.pyplot as plt

MAX_PEOPLE = 12
"""Maximum number of people in the plot: those with the most windows."""


@dataclass
class LatentPoints:
    """Points that summarise the latent motion of windows of 64 frames of every clip."""

    points: dict[str, Float[np.ndarray, "N 2*Z"]]
    """Mean and log standard deviation over time of each channel of z, from E_h (motion alone) and E_ah (with audio)."""
    people: list[str]
    """Person of each window."""
    clips: list[str]
    """Clip of each window."""

    @classmethod
    @torch.no_grad()
    def of(cls, models: AttributeModels, material: Corpus) -> LatentPoints:
        """Encodes all clips, each relative to its own mean pose, because the mean pose alone identifies most people."""
        parts: dict[str, list[np.ndarray]] = {"motion alone": [], "with audio": []}
        people, clips = [], []
        config = models.config.cross_modal
        for recording in [*material.recordings, material.main]:
            motion, audio = prepare_motion_sequences(models, [recording]).windows(config.window, config.window // 2)
            if len(motion):
                parts["motion alone"].append(latent_summary(models.vae.encode(motion).mean))
                parts["with audio"].append(
                    latent_summary(models.cross_modal(audio, motion[:, : config.bop], models.vae).mean)
                )
                people += [person(recording)] * len(motion)
                clips += [recording.name] * len(motion)
        return cls({title: np.concatenate(z) for title, z in parts.items()}, people, clips)

    def accuracy(self) -> dict[str, float]:
        """Accuracy of the nearest neighbour from another clip, for people with several clips.

        Chance is the mean fraction of such a person's windows among all windows.
        """
        clips_of = {
            name: {c for p, c in zip(self.people, self.clips, strict=True) if p == name} for name in set(self.people)
        }
        several = [name for name in self.people if len(clips_of[name]) > 1]
        chance = float(np.mean([self.people.count(name) / len(self.people) for name in several]))
        accuracy = {title: identity_accuracy(z, self.people, self.clips) for title, z in self.points.items()}
        return {**accuracy, "chance": chance, "people with several clips": len(set(several)), "windows": len(several)}

    def draw(self, path: Path) -> None:
        """Plots both sets of points in the plane of their two principal components."""
        names = sorted(set(self.people), key=self.people.count, reverse=True)[:MAX_PEOPLE]
        figure, panels = plt.subplots(1, len(self.points), figsize=(12, 5.5), layout="constrained")
        for panel, (title, points) in zip(panels, self.points.items(), strict=True):
            plane = principal_plane(points)
            for number, name in enumerate(names):
                mine = np.array(self.people) == name
                panel.scatter(*plane[mine].T, s=10, color=plt.get_cmap("tab20")(number), label=name)
            panel.set_title(title)
        panels[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(path, dpi=110)
        plt.close(figure)
