"""What can be played: the film's two parts, and what is generated for new audio; with their sound."""

from __future__ import annotations

import base64
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.moving_config import MovingConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio import read_audio, read_wav
from dfa_nerfstudio.data.dataset_folder import AUDIO, FRAME_RATE, SAMPLE_RATE, DatasetFolder

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModel

LONGEST = 180.0
"""Seconds of sound that are handed to the browser."""


@dataclass
class Playable:
    """A track and its sound."""

    name: str
    track: AttributeTrack
    """On the CPU."""
    sound: Float32[np.ndarray, " S"]
    """16 kHz mono."""

    @property
    def player(self) -> str:
        """The sound as an element of a page."""
        heard = self.sound[: round(LONGEST * SAMPLE_RATE)]
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes((heard.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
        data = base64.b64encode(file.getvalue()).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}" style={{{{width: "100%"}}}}></audio>'


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
    from dfa_nerfstudio.talk.drive import Driver  # not needed by training

    sound = read_audio(audio)
    return Playable(audio.name, AttributeTrack.join(Driver(model, moving).stream([sound])), sound)
