"""Options of `dfa-process`; light, so that the command line is read at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dfa_nerfstudio.errors import UserError


@dataclass
class ProcessConfig:
    """How a video is turned into a dataset folder."""

    size: int = 256
    """Side of the square images in pixels; even, at least 32."""
    held_out: float = 1 / 11
    """The last part of the frames, kept for evaluation; 0 trains on everything."""
    expressions: int = 16
    """Number of expression coefficients, K, of the morphable model that is learnt from the video."""
    morphable_model: Path | None = None
    """An `.npz` with the morphable model (Eq. 1) to use instead: one of `dfa-morphable-model`, or your own."""
    smoothing: float = 2.0
    """How many times stronger than their own noise asks for head pose and torso motion are smoothed; 0 for none. Up to
    2 the demo subject's are as near to the truth, and with 2 they are steadier; more takes small nods for noise."""
    face_landmarker: Path | None = None
    """mediapipe's `face_landmarker.task`: landmarks are then found by it, and its blendshapes stored too."""
    on_cut: Literal["refuse", "split"] = "refuse"
    """What to do with a video in which the scene changes: refuse it, or make a dataset of each scene. Cuts within one
    scene, as edited interviews have them, do no harm."""
    camera: Literal["follow", "still"] = "follow"
    """A camera that moves, or a crop that follows the head, is followed by the background and taken back, or the video
    refused where that cannot be done; or the camera is taken as still whatever the background does."""
    overwrite: bool = False
    """Replace a dataset that is there already."""

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 2:
            raise UserError(f"--size {self.size}: give an even number of at least 32")
        if not 0 <= self.held_out <= 0.5:
            raise UserError(f"--held-out {self.held_out}: give a part from 0 to 0.5, for example 0.09")
        if not 1 <= self.expressions <= 40:
            raise UserError(f"--expressions {self.expressions}: give a number from 1 to 40")
        if self.smoothing < 0:
            raise UserError(f"--smoothing {self.smoothing}: give 0 or more")

    def described(self) -> dict[str, Any]:
        """The options that decide what the dataset is, as the report notes them."""
        options = {name: value.name if isinstance(value, Path) else value for name, value in vars(self).items()}
        return {name: value for name, value in options.items() if name != "overwrite"}
