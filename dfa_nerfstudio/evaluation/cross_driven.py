"""What a model shows while it says something that it was never filmed saying.

There is no true picture of that, but lips and sound can be judged, for as long as there is speech; the held-out end of
a film is often only seconds long. Heads move as `dfa-talk` lets them by default. Nobody blinks, for a landmark
tracker's lips hang a little on the lids, and a model that cannot blink would be praised for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.motion_config import NONE, MovingConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.frame_arrays import Pictures, on_disk
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.audio_driver import Driver
from dfa_nerfstudio.talk.frame_renderer import render_track


@dataclass
class Speech:
    """T frames at 25 frames/s and their sound."""

    name: str
    pictures: Pictures
    sound: Float32[np.ndarray, " S"]
    """16 kHz."""

    @classmethod
    def of(cls, model: DFANerfModel, audio: Path) -> Speech:
        """Lets a model say what is in a file.

        Raises:
            UserError: if that is unreadable, too short or silent, or the model listens to features of a file.
        """
        sound = read_audio(audio)
        try:
            track = AttributeTrack.join(Driver(model, MovingConfig(blink=NONE)).stream([sound]))
        except UserError as error:
            raise UserError(f"{audio}: {error}") from None
        return cls(audio.name, on_disk(render_track(model, track)), sound)
