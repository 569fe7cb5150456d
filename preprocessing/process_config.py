"""Options of `dfa-process`. Imports nothing heavy, because the command line reads them at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dfa_nerfstudio.errors import UserError

MIN_IMAGE_SIZE = 32
"""Minimum side of a dataset's images, pixels."""
MIN_CLIP_SECONDS = 2.0
"""Minimum length of a clip, seconds."""
Person = Literal["speaking", "largest", "left", "right"]
"""Ways to choose among several people."""


@dataclass
class ProcessConfig:
    """How a video is converted to a dataset folder."""

    size: int = 256
    """Side of the square images, pixels; even, at least 32."""
    held_out: float = 1 / 11
    """Fraction of the frames, at the end of the clip, that is held out for evaluation; 0 trains on all frames."""
    num_expressions: int = 16
    """Number of expression coefficients, K, of the morphable model that is learnt from the video."""
    morphable_model: Path | None = None
    """`.npz` file with a morphable model (Eq. 1) to use instead: from `dfa-morphable-model`, or your own."""
    smoothing: float = 2.0
    """Smoothing strength of head pose and torso motion, as a multiple of the measured noise; 0 disables smoothing. On
    the demo subject, values up to 2 do not increase the error, and 2 gives the least jitter; larger values also remove
    small nods."""
    face_landmarker: Path | None = None
    """mediapipe's `face_landmarker.task`. If given, it detects the landmarks, and its blendshapes are stored too."""
    scene_cut: Literal["refuse", "split"] = "refuse"
    """Handling of a video in which the scene changes: refuse it, or write one dataset per scene. Jump cuts within one
    scene, as in edited interviews, are always accepted."""
    camera: Literal["stabilize", "static"] = "stabilize"
    """`stabilize` tracks the background and compensates a moving camera or a crop that follows the head; a video whose
    background cannot be tracked is refused. `static` assumes a static camera, whatever the background does."""
    person: Person = "speaking"
    """Who is used of a video that shows several people: the one whose lips follow the voice, the one with the largest
    face, or the one on the left or right."""
    audio_track: int | None = None
    """Number of the audio track, from 1; by default the one with the most speech."""
    overwrite: bool = False
    """Whether an existing dataset is replaced."""

    def __post_init__(self) -> None:
        if self.size < MIN_IMAGE_SIZE or self.size % 2:
            raise UserError(f"`size={self.size}`: give an even number of at least {MIN_IMAGE_SIZE}")
        if not 0 <= self.held_out <= 0.5:
            raise UserError(f"`held_out={self.held_out}`: give a fraction from 0 to 0.5, for example 0.09")
        if not 1 <= self.num_expressions <= 40:
            raise UserError(f"`num_expressions={self.num_expressions}`: give a number from 1 to 40")
        if self.audio_track is not None and self.audio_track < 1:
            raise UserError(f"`audio_track={self.audio_track}`: tracks are numbered from 1")
        if not 0 <= self.smoothing < math.inf:
            raise UserError(f"`smoothing={self.smoothing}`: give 0 or more")

    def dataset_options(self) -> dict[str, Any]:
        """Returns the options that determine the dataset, as the report stores them; paths by file name only."""
        options = {name: value.name if isinstance(value, Path) else value for name, value in vars(self).items()}
        return {name: value for name, value in options.items() if name != "overwrite"}
