"""Clips that the viewer can play: the two parts of the source video, and generated ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.media.audio import read_audio, read_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig


@dataclass
class Clip:
    """An attribute track and its audio."""

    name: str
    """Name in the viewer."""
    track: AttributeTrack
    """Attribute track, on the CPU."""
    audio: Float32[np.ndarray, " S"]
    """Audio samples, 16 kHz mono, full scale 1."""


def source_clips(model: Renderer) -> list[Clip]:
    """Returns the training part of the source video and, if there is one, its held-out part.

    They include the frames in which no face was found.

    Raises:
        UserError: if the dataset folder is damaged.
    """
    folder, track = DatasetFolder.open(model.clip.folder), model.clip.track.to("cpu")
    per_frame = round(SAMPLE_RATE / FRAME_RATE)
    parts = {"training part": (0, folder.num_train), "held-out part": (folder.num_train, folder.num_frames)}
    return [
        Clip(name, track[start:stop], read_wav(folder.path / AUDIO, start * per_frame, stop * per_frame))
        for name, (start, stop) in parts.items()
        if stop > start
    ]


def generate_clip(
    model: Renderer, audio_path: Path, motion: MotionConfig, conditioning: AudioConditioningConfig | None = None
) -> Clip:
    """Generates the attribute track of an audio file.

    Raises:
        UserError: if the file is unreadable, too short or silent.
    """
    from dfa_nerfstudio.talk.audio_driver import AudioDriver  # training does not need it

    audio = read_audio(audio_path)
    return Clip(audio_path.name, AttributeTrack.join(AudioDriver(model, motion, conditioning).stream([audio])), audio)
