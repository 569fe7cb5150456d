"""Identity in the latent space of motion: a nearest neighbour classification (Fig. 6, as a number)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def identity_accuracy(points: Float[np.ndarray, "N Z"], people: Sequence[str], clips: Sequence[str]) -> float:
    """Share of points whose nearest neighbour from another clip belongs to the same person.

    People with a single clip serve as neighbours only. Chance level is the share of a person's points among all others.

    Args:
        points: latent means, one for each segment of motion.
        people: the person of each.
        clips: the clip of each; neighbours from the same clip are excluded, because two segments of one clip are alike
            in any case.
    """
    person, clip = np.asarray(people), np.asarray(clips)
    distance = np.square(points[:, None] - points).sum(-1)
    distance[clip[:, None] == clip] = np.inf
    has_several = np.array([len(set(clip[person == name])) > 1 for name in person])
    if not has_several.any():
        return float("nan")
    return float((person[distance.argmin(1)] == person)[has_several].mean())
