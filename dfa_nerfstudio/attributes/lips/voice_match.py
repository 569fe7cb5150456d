"""Whether a voice fits lips: compares the lip gap that the package's lip model predicts with the one that is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig, statistics
from dfa_nerfstudio.attributes.lips.general_lips import general_lip_models
from dfa_nerfstudio.data.audio_features import audio_feature_from_option
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.speech.speech_encoder import shipped_speech_encoder

MAX_LAG = 4
"""Largest delay of the audio that is tried, in frames."""
MIN_CORRELATION = 0.28
"""Correlation of predicted and seen lip gap below which a voice does not fit the lips of a clip. Of 23 clips of 10 s or
more, one had less with its own audio, and 2 % of 394 pairs had more with the audio of another clip."""
WINDOW, STEP = round(10 * FRAME_RATE), round(5 * FRAME_RATE)
"""Length and distance of the parts of a clip that are compared, in frames."""
MIN_PART_CORRELATION = 0.2
"""The same as `MIN_CORRELATION` for a part; fewer frames, so lower."""
MIN_FRAMES = round(4 * FRAME_RATE)
"""Fewest frames with a face that are compared."""


@dataclass
class VoiceMatch:
    """How well a voice fits the lips of a clip."""

    correlation: float
    """Correlation of the predicted with the seen lip gap at the best delay; NaN for too few frames with a face."""
    foreign: list[tuple[float, float]]
    """Start and end in seconds of the parts whose lips do not fit the voice."""

    @property
    def fits(self) -> bool:
        """Whether the voice fits the lips; also true if too few frames show the face to tell."""
        return not self.correlation < MIN_CORRELATION

    @classmethod
    def of(
        cls, predicted: Float[np.ndarray, " T"], seen: Float[np.ndarray, " T"], found: Bool[np.ndarray, " T"]
    ) -> VoiceMatch:
        """Compares predicted lip gaps with those that are seen in the same frames.

        Args:
            predicted: see `predict_lip_gap`.
            seen: measured lip gap in any unit.
            found: whether each frame shows the face.
        """
        scores = {lag: _correlation(predicted, seen, found, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)}
        lag = max(scores, key=lambda lag: scores[lag] if scores[lag] == scores[lag] else -2)
        foreign = list[tuple[float, float]]()
        for start in range(0, max(len(seen) - WINDOW, 0) + 1, STEP):
            part = slice(start, start + WINDOW)
            if _correlation(predicted[part], seen[part], found[part], lag) < MIN_PART_CORRELATION:
                begin, end = start / FRAME_RATE, min(start + WINDOW, len(seen)) / FRAME_RATE
                if foreign and foreign[-1][1] >= begin:
                    begin = foreign.pop()[0]
                foreign.append((begin, end))
        return cls(scores[lag], foreign)

    def warning(self) -> str | None:
        """One sentence for the user if the voice does not fit; None if it does."""
        if not self.fits:
            return (
                f"the voice does not fit the lips (correlation {self.correlation:.2f}, usually 0.4 or more): is it "
                "dubbed, or does somebody else speak? Lips that are learnt from it will be wrong"
            )
        if self.foreign:
            times = ", ".join(f"{start:.0f} to {end:.0f} s" for start, end in self.foreign)
            return f"the voice does not fit the lips at {times}: does somebody else speak, or is the mouth hidden?"
        return None


@torch.no_grad()
def predict_lip_gap(audio: Iterable[Float32[np.ndarray, " n"]]) -> Float[np.ndarray, " T"]:
    """Predicts the lip gap of anybody who says this, one value per frame.

    Args:
        audio: 16 kHz, in chunks.
    """
    features = torch.cat(list(shipped_speech_encoder().stream(audio)))
    return lip_gap_from_features(features)


@torch.no_grad()
def lip_gap_from_features(features: Float[torch.Tensor, "T F"]) -> Float[np.ndarray, " T"]:
    """The same from the speech encoder's features."""
    config = AudioToLipsConfig()
    models = general_lip_models(config, str(audio_feature_from_option(config.features).kind))
    assert models is not None, "the package's lip model fits the package's speech encoder"
    models.predictor.feature_mean, models.predictor.feature_std = statistics(features)
    return models.space.opening(models.predictor.predict(features)).numpy()


def _correlation(
    predicted: Float[np.ndarray, " T"], seen: Float[np.ndarray, " T"], found: Bool[np.ndarray, " T"], lag: int
) -> float:
    """Correlation with the prediction `lag` frames later; NaN for too few frames or without any motion."""
    count = min(len(predicted), len(seen))
    early, late = slice(0, count - abs(lag)), slice(abs(lag), count)
    ours, theirs = (early, late) if lag >= 0 else (late, early)
    valid = found[ours]
    x, y = seen[ours][valid], predicted[theirs][valid]
    if len(x) < MIN_FRAMES or not x.std() or not y.std():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
