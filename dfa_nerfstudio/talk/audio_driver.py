"""From speech to attribute tracks, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import tee
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.attributes.motion_source import Moving
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import FILE_FEATURE, MFCC_KIND, file_features
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.audio_conditioning import Hearing
from dfa_nerfstudio.talk.talk_config import HearingConfig


class Driver:
    """Drives one person's head by sound. Head motion follows f_a, whatever the field hears.

    The sequence models are those of the dataset folder that the renderer was trained on.

    Raises:
        UserError: if the models of the folder are not those that the renderer was trained with.
    """

    def __init__(
        self, model: DFANerfModel, moving: MovingConfig, hearing: HearingConfig | None = None, live: bool = False
    ) -> None:
        """
        Args:
            model: decides the person.
            moving: where head motion and blinks come from.
            hearing: what is done to the sound's features.
            live: nothing is waited for that is not needed.
        """
        clip = model.clip
        models = AttributeModels.load(clip.folder / FILE_NAME)
        self.kind, self.live = clip.track.audio_kind, live
        if self.kind != models.audio_kind and self.kind.name not in (MFCC_KIND.name, FILE_FEATURE):
            raise UserError(
                f"{clip.folder / FILE_NAME}: makes {models.audio_kind}, the checkpoint was trained on "
                f"{self.kind}; restore the folder or train again"
            )
        film = clip.track.to("cpu")
        shut = model.closed_mouth_feature.cpu()
        self._hearing = Hearing(models, shut, self.kind, hearing or HearingConfig(), live)
        self._moving = Moving(models, film[clip.train_frames], moving)

    @torch.no_grad()
    def stream(
        self, sound: Iterable[Float32[np.ndarray, " S"]], features: Path | None = None, seconds: float | None = None
    ) -> Iterator[AttributeTrack]:
        """What the person does while it says the sound: pieces of a track, one frame for each 1/25 s, the last one
        begun included.

        Args:
            sound: 16 kHz mono, in pieces of any length.
            features: file with the sound's features, where the renderer was trained on such.
            seconds: length of the sound, needed to check them.

        Raises:
            UserError: if the sound is too short or silent, or its features are missing or of no use.
        """
        if (self.kind.name == FILE_FEATURE) != (features is not None):
            need = "give those of this audio with" if features is None else "it takes no"
            raise UserError(f"the checkpoint was trained on {self.kind}: {need} --audio-features")
        rows = None
        if features is not None:
            rows, kind = file_features(features, int(np.ceil((seconds or 0) * FRAME_RATE - 1e-6)))
            if kind != self.kind:
                raise UserError(f"{features}: holds {kind}, the checkpoint was trained on {self.kind}")
        heard, for_lips = tee(self._hearing.stream(sound, rows))
        f_a, lips = (piece[0] for piece in heard), (piece[1] for piece in for_lips)
        for track, audio in zip_chunks(self._moving.stream(f_a, self.live), lips):
            yield replace(track, audio=audio, audio_kind=self.kind)
