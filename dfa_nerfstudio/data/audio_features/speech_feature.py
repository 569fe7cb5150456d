"""The states of the package's speech encoder as an audio feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features.registry import AudioSource, register_audio_feature
from dfa_nerfstudio.media.speech.speech_encoder import shipped_speech_encoder


@register_audio_feature
class SpeechFeature:
    """Two states of the speech encoder for each frame; no statistics of the recording are needed."""

    NAME: ClassVar[str] = "speech"
    NEEDS_FILE: ClassVar[bool] = False

    def __init__(self) -> None:
        self.encoder = shipped_speech_encoder()
        self.kind = FeatureKind(self.NAME, 1, self.encoder.fingerprint)

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 2*D"]]:
        yield from self.encoder.stream(source.audio)
