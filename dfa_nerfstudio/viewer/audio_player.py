"""Plays a clip's audio in the viewer's page."""

from __future__ import annotations

import base64
import io
from typing import Any

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import SAMPLE_RATE

ELEMENT_ID = "talking-head-audio"
"""Id of the audio element in the page."""
MAX_DURATION_S = 600.0
"""Maximum duration of the audio that is sent to the browser, in seconds."""
BIT_RATE = 32_000
"""Bits per second of the mp3: intelligible speech, while a page with minutes of it stays small."""


class AudioPlayer:
    """An audio element in the panel that the server can seek, start and pause.

    The audio is sent once per clip. Commands are sent in an element of their own, because a browser would need seconds
    to decode the audio again.

    Args:
        gui: viser's GUI API; the player is added to its open folder.
    """

    def __init__(self, gui: Any) -> None:
        self._audio_element, self._command_element = gui.add_markdown(""), gui.add_markdown("")
        self._num_commands = 0

    def load(self, audio: Float32[np.ndarray, " S"]) -> None:
        """Replaces the audio (16 kHz, full scale 1) and pauses at its start."""
        source = f"data:audio/mpeg;base64,{encode_mp3(audio[: round(MAX_DURATION_S * SAMPLE_RATE)])}"
        self._audio_element.content = (
            f'<audio id="{ELEMENT_ID}" controls src="{source}" style={{{{width: "100%"}}}}></audio>'
        )
        self.seek(0.0, playing=False)

    def seek(self, seconds: float, playing: bool) -> None:
        """Moves to a time, then plays or pauses."""
        self._num_commands += 1  # a page may render the element again, and must run each command once
        action = "player.play().catch(() => {})" if playing else "player.pause()"
        self._command_element.content = f"""<span ref={{(element) => {{
            const player = element && document.getElementById("{ELEMENT_ID}");
            if (player && player.dataset.command !== "{self._num_commands}") {{
                player.dataset.command = "{self._num_commands}"; player.currentTime = {seconds:.2f}; {action};
            }} }}}} />"""


def encode_mp3(audio: Float32[np.ndarray, " S"]) -> str:
    """Encodes audio (16 kHz, full scale 1) as an mp3 file in base64."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(audio[None].clip(-1, 1), format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return base64.b64encode(file.getvalue()).decode()
