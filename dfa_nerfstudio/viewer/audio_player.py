"""The sound of a track in the viewer's page."""

from __future__ import annotations

import base64
import io
from typing import Any

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import SAMPLE_RATE

NAME = "talking-head-sound"
"""Of its element in the page."""
LONGEST = 600.0
"""Seconds that are handed to the browser."""
BIT_RATE = 32_000
"""Speech is understood, and a page with minutes of it stays small."""


class Sound:
    """A player in the panel that is told where to stand and whether to go on.

    The sound is sent once. What it is told is an element of its own: for a browser it would take seconds to read the
    sound anew.

    Args:
        gui: viser's, in the folder where the player is to be.
    """

    def __init__(self, gui: Any) -> None:
        self._player, self._word = gui.add_markdown(""), gui.add_markdown("")
        self._words = 0

    def load(self, samples: Float32[np.ndarray, " S"]) -> None:
        """Another sound, 16 kHz, which stands at its beginning."""
        source = f"data:audio/mpeg;base64,{mp3(samples[: round(LONGEST * SAMPLE_RATE)])}"
        self._player.content = f'<audio id="{NAME}" controls src="{source}" style={{{{width: "100%"}}}}></audio>'
        self.stand(0.0, False)

    def stand(self, seconds: float, playing: bool) -> None:
        """It is moved to a time, and goes on from there or not."""
        self._words += 1  # a page may draw an element again, and each word is to be obeyed once
        deed = "it.play().catch(() => {})" if playing else "it.pause()"
        self._word.content = f"""<span ref={{(here) => {{
            const it = here && document.getElementById("{NAME}");
            if (it && it.dataset.word !== "{self._words}") {{
                it.dataset.word = "{self._words}"; it.currentTime = {seconds:.2f}; {deed};
            }} }}}} />"""


def mp3(samples: Float32[np.ndarray, " S"]) -> str:
    """Sound of 16 kHz in [-1, 1] as an mp3 file in base 64."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples[None].clip(-1, 1), format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return base64.b64encode(file.getvalue()).decode()
