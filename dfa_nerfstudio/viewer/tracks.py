"""What can be played: the film's two parts, and what is generated for new audio; with their sound."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.attributes.moving_config import MovingConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio import read_audio, read_wav
from dfa_nerfstudio.data.dataset_folder import AUDIO, FRAME_RATE, SAMPLE_RATE, DatasetFolder

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModel

PLAYER = "talking-head-sound"
"""Name of its element."""
LONGEST = 600.0
"""Seconds of sound that are handed to the browser."""
BIT_RATE = 32_000
"""Of that sound: speech is understood, and a page with minutes of it stays small."""


@dataclass
class Playable:
    """A track and its sound."""

    name: str
    track: AttributeTrack
    """On the CPU."""
    sound: Float32[np.ndarray, " S"]
    """16 kHz mono."""

    @cached_property
    def player(self) -> str:
        """The sound as an element of a page."""
        heard, file = self.sound[: round(LONGEST * SAMPLE_RATE)], io.BytesIO()
        with av.open(file, "w", format="mp3") as container:
            stream = container.add_stream("mp3", rate=SAMPLE_RATE, layout="mono")
            stream.bit_rate = BIT_RATE
            frame = av.AudioFrame.from_ndarray(heard[None].clip(-1, 1), format="fltp", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux([*stream.encode(frame), *stream.encode(None)])
        data = base64.b64encode(file.getvalue()).decode()
        return f'<audio id="{PLAYER}" controls src="data:audio/mpeg;base64,{data}" style={{{{width: "100%"}}}}></audio>'


def told(number: int, seconds: float, playing: bool) -> str:
    """An element of a page that makes `Playable.player` stand at a time, and go on from there or not.

    The sound itself is not sent again, which would take a browser seconds to read.

    Args:
        number: of this telling; a page may draw an element again, and it is to be obeyed once.
        seconds: where.
        playing: whether it goes on.
    """
    deed = "it.play().catch(() => {})" if playing else "it.pause()"
    return f"""<span ref={{(here) => {{
        const it = here && document.getElementById("{PLAYER}");
        if (it && it.dataset.told !== "{number}") {{
            it.dataset.told = "{number}"; it.currentTime = {seconds:.2f}; {deed};
        }} }}}} />"""


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
