"""Fig. 6: whether it can be seen in Z whose motion it is, as a picture and as a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jaxtyping import Float

from benchmarks.corpus import Corpus, person
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_dataset import motion_sequences
from dfa_nerfstudio.evaluation.motion.latent_summary import latent_summary, principal_plane
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy

matplotlib.use("agg")
import matplotlib.pyplot as plt

MOST = 12
"""People that the picture tells apart: those of whom there is most."""


@dataclass
class LatentPoints:
    """A point for each window of 64 frames of every film: how a head moves, whatever the window's length."""

    points: dict[str, Float[np.ndarray, "N 2*Z"]]
    """Mean and logarithm of the spread over time of each channel of z: of E_h (without sound), of E_ah (with it)."""
    people: list[str]
    clips: list[str]

    @classmethod
    @torch.no_grad()
    def of(cls, models: AttributeModels, material: Corpus) -> LatentPoints:
        """Of all films, each about its own mean posture, which alone would tell most of them."""
        parts: dict[str, list[np.ndarray]] = {"without sound": [], "with sound": []}
        people, clips = [], []
        config = models.config.cross_modal
        for recording in [*material.recordings, material.main]:
            motion, audio = motion_sequences(models, [recording]).windows(config.window, config.window // 2)
            if len(motion):
                parts["without sound"].append(latent_summary(models.vae.encode(motion).mean))
                parts["with sound"].append(
                    latent_summary(models.cross_modal(audio, motion[:, : config.bop], models.vae).mean)
                )
                people += [person(recording)] * len(motion)
                clips += [recording.name] * len(motion)
        return cls({title: np.concatenate(z) for title, z in parts.items()}, people, clips)

    def accuracy(self) -> dict[str, float]:
        """Nearest neighbour from another film; chance is the share of such people's windows among all."""
        films = {
            name: {c for p, c in zip(self.people, self.clips, strict=True) if p == name} for name in set(self.people)
        }
        several = [name for name in self.people if len(films[name]) > 1]
        chance = float(np.mean([self.people.count(name) / len(self.people) for name in several]))
        accuracy = {title: identity_accuracy(z, self.people, self.clips) for title, z in self.points.items()}
        return {**accuracy, "chance": chance, "people of several films": len(set(several)), "windows": len(several)}

    def draw(self, path: Path) -> None:
        """Both sets of points in the plane of their two principal components."""
        names = sorted(set(self.people), key=self.people.count, reverse=True)[:MOST]
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
