"""Frame, sample and feature rates that every dataset folder and every model share."""

from __future__ import annotations

FRAME_RATE = 25.0
"""Video frames per second of every dataset folder, whatever the source had."""
SAMPLE_RATE = 16_000
"""Audio samples per second (mono)."""
SAMPLES_PER_MINUTE = 60 * SAMPLE_RATE
"""Audio samples that are processed at once where memory counts."""
MFCC_PER_FRAME = 4
"""MFCC vectors per video frame: one every 10 ms."""
STANDARD_FRAME_RATES = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0)
"""Frame rates at which cameras record."""


def nearest_standard_frame_rate(rate: float) -> float:
    """The standard frame rate nearest to a measured one, because files state 29.83 where the camera had 30.

    Rates below the lowest standard one are raised to `FRAME_RATE`, because lips are not followed well at fewer frames.
    """
    if rate < 0.95 * STANDARD_FRAME_RATES[0]:
        return FRAME_RATE
    return min(STANDARD_FRAME_RATES, key=lambda standard: abs(standard - rate))
