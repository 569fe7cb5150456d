"""What is measured of the sound."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.vad import loudness, voice_activity


def sound_attributes(audio: Float32[np.ndarray, " S"], num_frames: int, num_train: int) -> dict[str, np.ndarray]:
    """The fields of `ClipAttributes` that are about sound.

    Args:
        audio: 16 kHz, of all frames.
        num_frames: frames of video at 25 frames/s.
        num_train: of these, the first so many are for training.
    """
    rows, border = MFCC_PER_FRAME * num_frames, MFCC_PER_FRAME * num_train
    features = mfcc(audio, num_frames)
    statistics = MfccStatistics.of(features[:border])
    return {
        "mfcc": features,
        "mfcc_mean": statistics.mean,
        "mfcc_std": statistics.std,
        "loudness": loudness(audio, rows),
        "voice": voice_activity(audio, rows, border),
    }
