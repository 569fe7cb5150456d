"""Audio attributes of a clip: MFCC and their statistics, loudness, voice activity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.vad import loudness, voice_activity

SILENCE_PEAK = 1e-4
"""Peak amplitude below which audio counts as silent, relative to full scale."""


def extract_audio_attributes(
    audio: Float32[np.ndarray, " S"], num_frames: int, num_train: int
) -> dict[str, np.ndarray]:
    """Returns the audio fields of `ClipAttributes`.

    Args:
        audio: 16 kHz mono, as long as the frames.
        num_frames: number of video frames at 25 frames/s.
        num_train: number of training frames, the first ones; MFCC statistics come from them alone.
    """
    num_rows, num_train_rows = MFCC_PER_FRAME * num_frames, MFCC_PER_FRAME * num_train
    features = mfcc(audio, num_frames)
    statistics = MfccStatistics.from_mfcc(features[:num_train_rows])
    return {
        "mfcc": features,
        "mfcc_mean": statistics.mean,
        "mfcc_std": statistics.std,
        "loudness": loudness(audio, num_rows),
        "voice": voice_activity(audio, num_rows, num_train_rows),
    }
