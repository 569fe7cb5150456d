"""Mel-frequency cepstral coefficients every 10 ms, locked to the video's frames."""

from __future__ import annotations

import librosa
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE

NUM_COEFFICIENTS = 13
WINDOW = round(0.025 * SAMPLE_RATE)
"""25 ms."""
HOP = round(SAMPLE_RATE / FRAME_RATE / MFCC_PER_FRAME)
"""10 ms."""


def mfcc(audio: Float32[np.ndarray, " S"], num_frames: int) -> Float32[np.ndarray, "T*4 26"]:
    """13 MFCC and their 13 deltas; row k is centred on k * 10 ms, so row 4 i on the start of frame i.

    No row is scaled by the loudness of the others: what is heard later changes nothing before, but for the reach of
    the deltas, 4 rows.

    Args:
        audio: 16 kHz; cut, or filled up with silence, to `num_frames`.
        num_frames: frames of video at 25 frames/s.
    """
    rows = MFCC_PER_FRAME * num_frames
    audio = np.pad(audio[: rows * HOP], (0, max(rows * HOP - len(audio), 0)))
    power = librosa.feature.melspectrogram(
        y=audio, sr=SAMPLE_RATE, n_fft=512, win_length=WINDOW, hop_length=HOP, center=True, n_mels=40
    )
    decibel = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    static = librosa.feature.mfcc(S=decibel, n_mfcc=NUM_COEFFICIENTS)[:, :rows]
    delta = librosa.feature.delta(static, width=9, mode="nearest")
    return np.concatenate([static, delta]).T.astype(np.float32)  # [4 T, 26]
