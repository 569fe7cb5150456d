"""The states of Whisper's encoder as an audio feature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features.registry import AudioSource, register_audio_feature
from dfa_nerfstudio.media.speech.whisper_encoder import WhisperEncoder, find_whisper


@register_audio_feature
class WhisperFeature:
    """Two states of Whisper's encoder for each frame; not for live audio, because the encoder reads 5 s ahead."""

    NAME: ClassVar[str] = "whisper"
    NEEDS_FILE: ClassVar[bool] = False

    def __init__(self, folder: Path | None = None) -> None:
        """
        Args:
            folder: a CTranslate2 model; by default one that is found on this machine.

        Raises:
            UserError: if there is no model, or CTranslate2 is not installed.
        """
        self.encoder = WhisperEncoder(folder or find_whisper())
        self.kind = FeatureKind(self.NAME, 1, self.encoder.fingerprint)

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 2*D"]]:
        yield from self.encoder.stream(source.audio)
