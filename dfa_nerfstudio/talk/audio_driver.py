"""Drives a person's attribute track by audio, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import tee
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_source import MotionSource
from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.data.audio_features import (
    audio_feature_for_driving,
    refuse_feature_file,
    registered_audio_feature,
)
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.talk.audio_conditioning import AudioConditioner, OwnCondition
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig


class AudioDriver:
    """Generates the attribute track of one person for new audio.

    The attribute models are those of the dataset folder that the renderer was trained on. Head motion is generated
    from f_a, whatever conditions the mouth.

    Raises:
        UserError: if the folder's attribute models are not those that the renderer was trained with.
    """

    def __init__(
        self,
        model: Renderer,
        motion: MotionConfig,
        conditioning: AudioConditioningConfig | None = None,
        live: bool = False,
        source_frames: Int[Tensor, " N"] | None = None,
    ) -> None:
        """
        Args:
            model: the trained renderer, which decides the person.
            motion: source of head motion and blinks.
            conditioning: post-processing of the lips; the default configuration if None.
            live: minimises latency: reads no audio ahead that a frame does not need.
            source_frames: numbers of the clip's frames that the motion `source` plays; the training frames if None.
        """
        clip = model.clip
        models = AttributeModels.load(clip.folder / MODELS_FILE_NAME)
        self.kind, self.live = clip.track.mouth_kind, live
        own: dict[str, tuple[OwnCondition | None, FeatureKind]] = {
            models.lip_kind.name: ("lips", models.lip_kind),
            models.audio_kind.name: ("f_a", models.audio_kind),
        }
        self._own_condition: OwnCondition | None
        self._own_condition, kind = own.get(self.kind.name, (None, self.kind))
        if self._own_condition is None:
            registered_audio_feature(self.kind)
        elif self.kind != kind:
            raise UserError(
                f"{clip.folder / MODELS_FILE_NAME}: computes {kind}, but the checkpoint was trained on {self.kind}; "
                "restore the folder or train again"
            )
        source = clip.track.to("cpu")
        closed_mouth = model.closed_mouth_feature.cpu()
        self._conditioner = AudioConditioner(models, closed_mouth, conditioning or AudioConditioningConfig(), live)
        self._motion = MotionSource(
            models, source[clip.train_frames if source_frames is None else source_frames], motion
        )

    @torch.no_grad()
    def stream(
        self, audio: Iterable[Float32[np.ndarray, " S"]], features: Path | None = None, duration: float | None = None
    ) -> Iterator[AttributeTrack]:
        """Yields consecutive chunks of the track: one frame per 1/25 s of audio, a partial last one included.

        Args:
            audio: 16 kHz mono, in chunks of any length.
            features: file with the audio's features, if the renderer was trained on features from a file.
            duration: duration of the audio in seconds, by which the file's length is checked.

        Raises:
            UserError: if the audio is too short or silent, or its features are missing or invalid.
        """
        if self._own_condition is not None:
            refuse_feature_file(self.kind, features)
        condition = self._own_condition or audio_feature_for_driving(self.kind, features)
        num_frames = None if duration is None else int(np.ceil(duration * FRAME_RATE - 1e-6))
        for_motion, for_field = tee(self._conditioner.stream(audio, condition, num_frames))
        f_a, conditions = (chunk[0] for chunk in for_motion), (chunk[1] for chunk in for_field)
        for track, condition in zip_chunks(self._motion.stream(f_a, self.live), conditions):
            driven = replace(track, mouth=condition, mouth_kind=self.kind)
            require_finite(vars(driven), "generated track", "give other audio, or run dfa-attributes again")
            yield driven
