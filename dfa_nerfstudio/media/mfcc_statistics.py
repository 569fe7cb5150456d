"""Normalising the MFCC of a recording by its own statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError

MAX_DEVIATIONS = 4.0
"""Standard deviations to which normalised coefficients are clamped, because digital silence, which few recordings
contain, lies far outside the encoder's training data."""


@dataclass
class MfccStatistics:
    """Mean and standard deviation of each coefficient of one recording, over its speech rows.

    Normalising a recording by its own statistics removes the effect of microphone and loudness. Speech rows are those
    whose first coefficient, the loudness, is above 0.3 of the way from its 5th to its 95th percentile, so that the
    share of silence has no effect either.
    """

    mean: Float32[np.ndarray, " D"]
    """Mean of each coefficient."""
    std: Float32[np.ndarray, " D"]
    """Standard deviation of each coefficient, at least 1e-4."""

    @classmethod
    def from_mfcc(cls, mfcc: Float32[np.ndarray, "R D"], source: str = "the audio") -> MfccStatistics:
        """Computes the statistics of a recording.

        Args:
            mfcc: one row every 10 ms.
            source: the recording's name in the error message.

        Raises:
            UserError: if the recording is silent throughout.
        """
        loudness = mfcc[:, 0]
        low, high = np.quantile(loudness, [0.05, 0.95])
        if high - low < 1e-3 * (1 + abs(high)):
            raise UserError(f"{source}: silent or constant throughout; give a recording with speech")
        speech = mfcc[loudness >= low + 0.3 * (high - low)]
        return cls(speech.mean(0), speech.std(0).clip(1e-4))

    def normalise(self, mfcc: Float32[np.ndarray, "R D"]) -> Float32[np.ndarray, "R D"]:
        """MFCC with zero mean and unit variance over speech, clamped to +-`MAX_DEVIATIONS`."""
        return ((mfcc - self.mean) / self.std).clip(-MAX_DEVIATIONS, MAX_DEVIATIONS)
