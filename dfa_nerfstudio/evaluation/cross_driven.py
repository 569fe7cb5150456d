"""Video that a model renders for audio of another recording.

There is no true video of it, but lips and audio can be scored for as long as the audio lasts, while the held-out end of
a clip is often only seconds long. Head motion is generated as `dfa-talk` does by default, without blinks, because the
tracker's lip landmarks depend a little on the lids: a model that cannot blink would score better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.motion_config import NONE, MotionConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.frame_arrays import Frames, frames_on_disk
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.talk.audio_conditioning import close_in_silence
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.frame_renderer import render_track

LipPredictor = Callable[[Path | None], Float[Tensor, "T K"]]
"""Predicts f_m of each frame of an audio file, or of the held-out end of the clip (None)."""


@dataclass
class CrossDrivenClip:
    """T rendered frames at 25 frames/s and the audio that drives them."""

    name: str
    """File name of the audio."""
    frames: Frames
    audio: Float32[np.ndarray, " S"]
    """Samples at 16 kHz, beginning with the first frame."""

    @classmethod
    def render(
        cls, renderer: Renderer, path: Path, seed: int = 0, predict_lips: LipPredictor | None = None
    ) -> CrossDrivenClip:
        """Renders a talking head for an audio file.

        Args:
            renderer: the model.
            path: the audio file.
            seed: seed of the head motion. The score of lips and audio depends on it: a tracker sees lips less well in
                some poses than in others.
            predict_lips: predicts f_m in the place of the person's own lip model.

        Raises:
            UserError: if the file is unreadable, too short or silent, or the renderer is conditioned on features from a
                file.
        """
        audio = read_audio(path)
        try:
            track = AttributeTrack.join(AudioDriver(renderer, MotionConfig(blink=NONE, seed=seed)).stream([audio]))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        if predict_lips is not None:
            track = replace_lips(track, predict_lips(path), renderer, audio)
        return cls(path.name, frames_on_disk(render_track(renderer, track)), audio)


def replace_lips(
    track: AttributeTrack, lips: Float[Tensor, "T M"], renderer: Renderer, audio: Float32[np.ndarray, " S"]
) -> AttributeTrack:
    """Puts other lips into a track that audio drives. The mouth is closed in silence, as with the person's own lips."""
    closed_mouth = renderer.closed_mouth_feature.cpu()
    return replace(track, mouth=close_in_silence(lips[: len(track)], closed_mouth, audio))
