"""Sync score: agreement of lips and audio, by the package's own audio and mouth encoders (section 3.3).

*Score*: the cosine of f_a and the mouth embedding, mean over frames, at the video's own offset; from -1 to 1.
*Offset*: the shift in frames at which the mean cosine is highest; positive where the audio lags the video. Recordings
have offsets of up to four frames, which a person's model learns, so the prediction is scored at the truth's offset.
*Confidence*: the highest mean cosine minus the median over all offsets. It is defined as SyncNet's confidence but in
other units, so the two cannot be compared. *Standard error*: that of the score, with each second of video as one
observation.

Pitfalls: the truth's own score is the highest of 31, which biases it upwards by some hundredths; less than six seconds
of video give an unreliable score. The encoders must not be trained on the person who is scored, because a renderer
driven by the same f_a would score too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import MAX_OFFSET, frame_curves
from dfa_nerfstudio.face.landmarks_68 import UPPER_FACE_68
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import FRAME_RATE


@dataclass
class AVSyncScore:
    """Agreement of lips and audio at every offset."""

    curves: Float[np.ndarray, "F O"]
    """Cosine at offsets of -15 to 15 frames, in each frame that shows the face and has audio at all offsets."""

    @classmethod
    def join(cls, parts: Sequence[AVSyncScore]) -> AVSyncScore:
        """Pools the frames of several videos."""
        return cls(np.concatenate([part.curves for part in parts]))

    @property
    def curve(self) -> Float[np.ndarray, " O"]:
        """Mean cosine over frames at each offset."""
        return self.curves.mean(0)

    def score_at(self, offset: int) -> float:
        """Mean cosine at an offset in frames."""
        return float(self.curve[MAX_OFFSET + offset])

    def standard_error_at(self, offset: int) -> float:
        """Standard error of the mean cosine at an offset, each second as one observation; NaN below four seconds."""
        seconds = len(self.curves) // round(FRAME_RATE)
        if seconds < 4:
            return float("nan")
        means = [part.mean() for part in np.array_split(self.curves[:, MAX_OFFSET + offset], seconds)]
        return float(np.std(means, ddof=1) / np.sqrt(seconds))

    @property
    def offset(self) -> int:
        """Offset of the highest mean cosine in frames; positive where the audio lags the video."""
        return int(self.curve.argmax()) - MAX_OFFSET

    @property
    def confidence(self) -> float:
        """Highest mean cosine minus the median over all offsets."""
        return float(self.curve.max() - np.median(self.curve))


@torch.no_grad()
def av_sync_score(
    encoders: SpeechModels,
    expression: Float[np.ndarray, "T 68 3"],
    found: Bool[np.ndarray, " T"],
    audio: Float32[np.ndarray, " S"],
) -> AVSyncScore | None:
    """Compares the lips in consecutive frames with audio; None if no frame has audio at all offsets (31 are needed).

    Args:
        encoders: trained on other people.
        expression: landmarks in head space minus the person's resting face.
        found: whether each frame shows the face.
        audio: samples at 16 kHz, beginning with the first frame.

    Raises:
        UserError: for audio that is silent throughout.
    """
    lower = expression.copy()
    lower[:, UPPER_FACE_68] = 0  # at rest, or a face that never blinks would score better
    rows = mfcc(audio, len(expression))
    audio_features = encoders.audio.features(torch.from_numpy(MfccStatistics.from_mfcc(rows).normalise(rows)))
    faces = torch.from_numpy(lower).float() + encoders.autoencoder.mean_face
    curves = frame_curves(audio_features, encoders.mouth_features(faces))
    inner = torch.from_numpy(found)[MAX_OFFSET : MAX_OFFSET + len(curves)]
    return AVSyncScore(curves[inner].numpy()) if inner.any() else None
