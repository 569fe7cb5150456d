"""Renders a clip of the demo subject and writes its ground truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfa_nerfstudio.demo.portrait import load_portrait
from dfa_nerfstudio.demo.speech import Speech, make_speech
from dfa_nerfstudio.demo.subject_motion import SubjectMotion, SubjectMotionConfig, make_motion
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer
from dfa_nerfstudio.demo.visemes import mouth_shape
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import save_npz
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter


@dataclass
class ClipConfig(SubjectMotionConfig):
    """Length, size, camera and motion of the clip."""

    seconds: float = 24.0
    """Length in seconds. The bundled sentences last about 40 s, then repeat in a new order."""
    seed: int = 0
    """Random seed. The same seed gives the same clip; a longer clip begins like the shorter one."""
    size: int = 256
    """Width and height in pixels, even, 64 to 1024."""
    fps: float = FRAME_RATE
    """Frames per second."""
    focal: float = 2.0
    """Focal length in image widths, at least 0.8. It does not change the head's size in the image: a shorter one moves
    the camera nearer, with more foreshortening."""

    def check(self) -> None:
        """Raises `UserError` for an option out of its range."""
        ranges = {
            "seconds": (0.2, 3600.0),
            "seed": (0, 2**31),
            "size": (64, 1024),
            "fps": (5.0, 120.0),
            "focal": (0.8, 20.0),
            "yaw": (0.0, 30.0),
            "pitch": (0.0, 20.0),
            "roll": (0.0, 20.0),
            "translation": (0.0, 0.4),
            "blink_rate": (0.0, 1.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"`{name}={value:g}`: must be from {low:g} to {high:g}")
        if self.size % 2:
            raise UserError(f"`size={self.size}`: must be even")


def truth_path(clip: Path) -> Path:
    """Path of a clip's ground truth: `demo.truth.npz` for `demo.mp4`."""
    return clip.with_suffix(".truth.npz")


def make_clip(
    output: Path, config: ClipConfig | None = None, progress: Callable[[int, int], None] | None = None
) -> None:
    """Renders the talking demo subject to an mp4 with audio and writes the ground truth beside it.

    The ground truth (`truth_path`, an `.npz`) has for every frame i, at time i / fps:

    - `head_to_camera` [T 4 4]: head space to camera space, axes as in `dataset_folder`; one unit is the distance of
      the outer eye corners, the origin the centroid of `portrait.PORTRAIT_RIGID_LANDMARKS`.
    - `torso_motion` [T 4]: as `ClipAttributes.torso_motion`, relative to the portrait instead of the first frame.
    - `mouth_opening` [T]: gap between the inner lips at the middle of the mouth, in head units; 0 when closed.
    - `mouth_rounding` [T]: -1 spread to 1 rounded.
    - `eye_opening` [T 2]: 0 closed to 1 open, the eye on the left of the image first.

    and for the whole clip `fps`, `size`, `focal_length` in pixels (the principal point is the image centre), `blinks`
    [B 3] (start, apex, end, in s), `phoneme_labels` [N] (eSpeak) and `phoneme_times` [N 2] (start, end, in s).

    Args:
        output: path of the mp4.
        config: options of the clip.
        progress: called after every frame with the number of rendered frames and the total.

    Raises:
        UserError: if an option is out of range or the output cannot be written.
    """
    config = config or ClipConfig()
    config.check()
    frames = max(round(config.seconds * config.fps), 1)
    times = np.arange(frames) / config.fps
    renderer = SubjectRenderer(load_portrait(), config.size, config.focal)
    speech = make_speech(frames / config.fps, config.seed)
    opening, rounding = mouth_shape(speech.phonemes, times)
    motion = make_motion(config, renderer.reference, times, config.seed)
    tags = {"title": "dfa-nerfstudio demo subject", "comment": "synthetic: an animated public-domain portrait"}
    with VideoWriter(output, config.fps, (config.size, config.size), SAMPLE_RATE, tags) as writer:
        writer.write_audio(speech.samples)
        for i in range(frames):
            writer.write_frame(
                renderer.render(
                    motion.head_to_camera[i], motion.torso_motion[i], opening[i], rounding[i], motion.eye_opening[i]
                )
            )
            if progress:
                progress(i + 1, frames)
        _write_truth(truth_path(output), config, speech, motion, opening, rounding)


def _write_truth(
    path: Path, config: ClipConfig, speech: Speech, motion: SubjectMotion, opening: np.ndarray, rounding: np.ndarray
) -> None:
    truth = {
        "fps": config.fps,
        "size": config.size,
        "focal_length": config.focal * config.size,
        "head_to_camera": motion.head_to_camera,
        "torso_motion": motion.torso_motion,
        "mouth_opening": opening,
        "mouth_rounding": rounding,
        "eye_opening": motion.eye_opening,
        "blinks": motion.blinks,
        "phoneme_labels": np.array([phoneme.label for phoneme in speech.phonemes]),
        "phoneme_times": np.array([(phoneme.start, phoneme.end) for phoneme in speech.phonemes]).reshape(-1, 2),
    }
    save_npz(path, truth, compress=True)
