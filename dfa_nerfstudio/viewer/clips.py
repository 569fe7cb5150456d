"""What can be played: the film's two parts, and what is generated for new audio; with their sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.media.audio import read_audio, read_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModel


@dataclass
class Playable:
    """A track and its sound."""

    name: str
    track: AttributeTrack
    """On the CPU."""
    sound: Float32[np.ndarray, " S"]
    """16 kHz mono."""


def film_parts(model: DFANerfModel) -> list[Playable]:
    """The training part of the film and, if there is any, what was held out; frames without a face included.

    Raises:
        UserError: if the dataset folder is broken.
    """
    folder, track = DatasetFolder.open(model.clip.folder), model.clip.track.to("cpu")
    per_frame = round(SAMPLE_RATE / FRAME_RATE)
    parts = {"training part": (0, folder.num_train), "held-out part": (folder.num_train, folder.num_frames)}
    return [
        Playable(name, track[start:stop], read_wav(folder.path / AUDIO, start * per_frame, stop * per_frame))
        for name, (start, stop) in parts.items()
        if stop > start
    ]


def generated(model: DFANerfModel, audio: Path, moving: MovingConfig) -> Playable:
    """What the person does when it says an audio file.

    Raises:
        UserError: if the file is of no use.
    """
    from dfa_nerfstudio.talk.audio_driver import Driver  # not needed by training

    sound = read_audio(audio)
    return Playable(audio.name, AttributeTrack.join(Driver(model, moving).stream([sound])), sound)
