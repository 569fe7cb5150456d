"""What preprocessing found, lost and interpolated: `report.json`, and the same in words."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """The figures and warnings of one clip."""

    source: str
    """File name of the video."""
    options: dict[str, Any] = field(default_factory=dict)
    """How it was processed."""
    frames: int = 0
    num_train: int = 0
    source_frame_rate: float = 0.0
    crop: tuple[int, int, int] = (0, 0, 0)
    """Left, top and side in pixels of the source."""
    size: int = 0
    """Side of the images in pixels."""
    faces_interpolated: int = 0
    """Frames in which the face was lost for a moment."""
    cuts: list[float] = field(default_factory=list)
    """When, in seconds, the person jumps within the same scene."""
    left_out: list[tuple[float, float]] = field(default_factory=list)
    """From when to when, in seconds, frames are of no use because the face was lost for longer."""
    frames_with_other_faces: int = 0
    focal_length: float = 0.0
    """In image sides."""
    eye_distance: float = 0.0
    """Mean distance of the outer eye corners in pixels of the working image."""
    reprojection_error: float = 0.0
    """Mean over the rigid landmarks, in pixels of the working image; theirs more than the pose's."""
    reprojection_error_held_out: float = 0.0
    patch_error: float = 0.0
    """Median distance of the skin's patches from where the pose puts them, in pixels of the working image."""
    jitter: float = 0.0
    """Standard deviation of the second difference of the reprojected rigid landmarks, in pixels."""
    jitter_before_smoothing: float = 0.0
    jitter_of_landmarks: float = 0.0
    """Of poses that are fitted to landmarks alone, frame by frame."""
    torso_tracked: bool = True
    torso_interpolated: int = 0
    """Frames in which the torso was lost."""
    torso_jitter: float = 0.0
    """As `jitter`, of the torso's shift."""
    blinks_seen: bool = True
    """False where the training part has none, so that what a closed eye looks like is a guess."""
    blinks: int = 0
    blinks_per_second: float = 0.0
    """Over the time in which the face is followed."""
    voice: float = 0.0
    """Part of the time in which someone speaks."""
    loudness: float = 0.0
    """Median while someone speaks, in dB of full scale."""
    background_seen: float = 0.0
    """Part of the background that the person uncovered."""
    background_changing: float = 0.0
    """Part of that in which the scene itself changes."""
    start: float = 0.0
    """Where in the video the clip begins, in seconds."""
    scenes: dict[str, Report] = field(default_factory=dict)
    """Of a video split into scenes: the folder's name and report of each."""
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """What each stage took."""

    def write(self, path: Path) -> None:
        """Writes the JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    def lines(self) -> list[str]:
        """The report in words."""
        notes = [f"note: {warning}" for warning in self.warnings]
        if self.scenes:
            of_scenes = [
                f"{name} (from {scene.start:.1f} s): {line}"
                for name, scene in self.scenes.items()
                for line in scene.lines()
            ]
            return [*of_scenes, *notes]
        return [
            f"{self.frames} frames ({self.frames / 25:.1f} s), {self.num_train} for training; "
            f"face found in {self.frames - self.faces_interpolated}",
            f"focal length {self.focal_length:.2f} image widths; rigid points reprojected to "
            f"{self.reprojection_error:.2f} pixels, jitter {self.jitter_before_smoothing:.2f}, "
            f"{self.jitter:.2f} after smoothing",
            *([f"cuts within the scene at {', '.join(f'{cut:.2f} s' for cut in self.cuts)}"] if self.cuts else []),
            f"background seen in {100 * self.background_seen:.0f} % of the picture",
            *notes,
        ]
