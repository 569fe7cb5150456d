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
