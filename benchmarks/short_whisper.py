"""Audio feature `whisper_short`: Whisper's encoder on a few seconds before each frame, as live audio would need it.

It is not part of the package, because the speech encoder is as good, needs no weights and a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features.registry import AudioSource, register_audio_feature
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.speech.whisper_encoder import WhisperEncoder, find_whisper

CONTEXT_S, STEP_S, LOOK_AHEAD_S = 3.0, 0.16, 0.2
"""Seconds of audio that the encoder reads, seconds from one reading to the next, and those after the last frame."""


class ShortWindowEncoder(WhisperEncoder):
    """Whisper's encoder without padding to 30 s: its position embeddings are cut to the window."""

    PADDED_S: ClassVar[float] = 0.0

    def stream(self, chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float[Tensor, "n 2*D"]]:
        """Computes the states of `STEP_S` at a time from the `CONTEXT_S` seconds that end `LOOK_AHEAD_S` later."""
        samples = np.concatenate(list(chunks))
        samples = np.pad(samples, (0, -len(samples) % round(SAMPLE_RATE / FRAME_RATE)))
        context, step, ahead = (round(seconds * SAMPLE_RATE) for seconds in (CONTEXT_S, STEP_S, LOOK_AHEAD_S))
        for first in range(0, len(samples), step):
            stop = min(first + step, len(samples))
            start = max(stop + ahead - context, 0)
            window = np.pad(samples, (0, ahead))[start : stop + ahead]
            yield self.encode_window(window, first - start, stop - start)


@register_audio_feature
class ShortWhisperFeature:
    """Two states of Whisper's encoder for each frame, `LOOK_AHEAD_S` behind the audio."""

    NAME: ClassVar[str] = "whisper_short"
    NEEDS_FILE: ClassVar[bool] = False

    def __init__(self) -> None:
        self.encoder = ShortWindowEncoder(find_whisper())
        self.kind = FeatureKind(self.NAME, 1, self.encoder.fingerprint)

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 2*D"]]:
        yield from self.encoder.stream(source.audio)
