"""MFCC around each frame as an audio feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features.registry import AudioSource, register_audio_feature
from dfa_nerfstudio.media.chunks import sliding_windows
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

MFCC_WINDOW = 16
"""Number of MFCC rows around a frame, 160 ms."""
NUM_STATIC_MFCC = 13
"""Number of MFCC coefficients without their deltas."""


@register_audio_feature
class MfccFeature:
    """The normalised static MFCC around the start of each frame; the recording's first and last rows are repeated."""

    NAME: ClassVar[str] = "mfcc"
    NEEDS_FILE: ClassVar[bool] = False
    kind = FeatureKind(NAME, 1, f"{MFCC_WINDOW}x{NUM_STATIC_MFCC}")

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 16*13"]]:
        statics = (rows[:, :NUM_STATIC_MFCC] for rows in source.mfcc)
        for windows in sliding_windows(statics, MFCC_WINDOW // 2, MFCC_WINDOW, MFCC_PER_FRAME):
            yield windows.transpose(1, 2).flatten(1)
