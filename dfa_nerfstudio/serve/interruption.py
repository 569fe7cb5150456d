"""Silences audio that has already been given to the attribute models when a client interrupts, and closes the mouth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk.pcm_source import SAMPLES_PER_FRAME

FADE_SAMPLES = SAMPLE_RATE // 100
"""Samples over which audio is faded out; a sudden end is heard as a click."""
CLOSING_FRAMES, OPENING_FRAMES = 3, 5
"""Frames over which the mouth closes, and over which it is released after the interrupted audio."""


class Interruption:
    """Applies interruptions to the frames of one session.

    A frame is computed a quarter of a second after its audio has arrived. Without this class, that much audio would
    still be heard after an interruption, with moving lips. Head motion is not changed.

    Args:
        closed_mouth: condition of the closed mouth.
    """

    def __init__(self, closed_mouth: Float[Tensor, " M"]) -> None:
        self._closed_mouth = closed_mouth
        self._end, self._fading, self._weight = 0, False, 0.0

    def begin(self, end: int) -> None:
        """Silences all audio before sample `end` that has not been encoded."""
        self._fading, self._end = True, end

    def silence(self, samples: Float32[np.ndarray, " n"], start: int) -> Float32[np.ndarray, " n"]:
        """Returns the audio from sample `start` on, silenced where it was interrupted."""
        num_silenced = min(max(self._end - start, 0), len(samples))
        if not num_silenced:
            return samples
        gain = np.ones(len(samples), np.float32)
        gain[:num_silenced] = 0
        if self._fading:
            num_faded = min(FADE_SAMPLES, num_silenced)
            gain[:num_faded] = np.linspace(1, 0, num_faded)
            self._fading = False
        return samples * gain

    def close_mouth(self, frame: AttributeTrack, number: int) -> AttributeTrack:
        """Returns frame `number`, its mouth closed while its audio is silenced; call it for each frame in order."""
        if number * SAMPLES_PER_FRAME < self._end:
            self._weight = min(self._weight + 1 / CLOSING_FRAMES, 1.0)
        else:
            self._weight = max(self._weight - 1 / OPENING_FRAMES, 0.0)
        if not self._weight:
            return frame
        return replace(frame, mouth=torch.lerp(frame.mouth, self._closed_mouth, self._weight))
