"""The interface between a session and the encoders of its video."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.serve.render_pool import Image


class VideoOutput(Protocol):
    """Receives the video of a session, from one thread."""

    stopped: bool
    """Whether the video is no longer read; the session then closes the output."""

    def write(self, number: int, image: Image, audio: Float32[np.ndarray, " n"]) -> None:
        """Takes frame `number` of the session and its audio (16 kHz), and returns at once."""
        ...

    def close(self) -> None:
        """Ends the video."""
        ...
