"""Whether it can be told from a latent motion whose it is (Fig. 6, as a number)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def identity_accuracy(points: Float[np.ndarray, "N Z"], people: Sequence[str], clips: Sequence[str]) -> float:
    """Share of points whose nearest neighbour from another clip belongs to the same person.

    People of whom there is only one clip are neighbours, but are not asked for. What chance gives is the share of a
    person's points among all others.

    Args:
        points: latent means, one for each stretch of motion.
        people: whose each is.
        clips: which film each is from; whole films are left out, for two stretches of one are alike in any case.
    """
    who, film = np.asarray(people), np.asarray(clips)
    distance = np.square(points[:, None] - points).sum(-1)
    distance[film[:, None] == film] = np.inf
    several = np.array([len(set(film[who == name])) > 1 for name in who])
    return float((who[distance.argmin(1)] == who)[several].mean()) if several.any() else float("nan")
