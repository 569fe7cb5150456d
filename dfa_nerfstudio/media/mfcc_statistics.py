"""Normalising MFCC by the statistics of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError

CLIP = 4.0
"""Normalised coefficients are limited to as many standard deviations: digital silence, which few films have, lies far
outside of what the encoder was trained on."""


@dataclass
class MfccStatistics:
    """Mean and standard deviation of each coefficient of one recording, over the rows where someone speaks.

    A recording is normalised by its own statistics, so that microphone and loudness do not matter. The rows are those
    whose first coefficient, the loudness, lies above 0.3 of the way from its 5th to its 95th percentile: the share of
    silence does not matter either.
    """

    mean: Float32[np.ndarray, " D"]
    std: Float32[np.ndarray, " D"]

    @classmethod
    def of(cls, mfcc: Float32[np.ndarray, "R D"], source: str = "the audio") -> MfccStatistics:
        """Measures a recording.

        Args:
            mfcc: one row every 10 ms.
            source: the recording's name for the error.

        Raises:
            UserError: for silence throughout.
        """
        loudness = mfcc[:, 0]
        low, high = np.quantile(loudness, [0.05, 0.95])
        if high - low < 1e-3 * (1 + abs(high)):
            raise UserError(f"{source}: silent or constant throughout; speech is needed")
        spoken = mfcc[loudness >= low + 0.3 * (high - low)]
        return cls(spoken.mean(0), spoken.std(0).clip(1e-4))

    def normalise(self, mfcc: Float32[np.ndarray, "R D"]) -> Float32[np.ndarray, "R D"]:
        """Zero mean and unit variance while someone speaks, limited to +-`CLIP`."""
        return ((mfcc - self.mean) / self.std).clip(-CLIP, CLIP)
