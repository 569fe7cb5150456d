"""Making a clip of the demo subject, with its ground truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.demo.portrait import load_portrait
from dfa_nerfstudio.demo.speech import Speech, make_speech
from dfa_nerfstudio.demo.subject_motion import Motion, MotionConfig, make_motion
from dfa_nerfstudio.demo.subject_renderer import Renderer
from dfa_nerfstudio.demo.visemes import mouth_shape
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter


@dataclass
class ClipConfig(MotionConfig):
    """What the clip is like."""

    seconds: float = 24.0
    """Length. The bundled sentences last about 40 s; then they come again in another order."""
    seed: int = 0
    """The same seed gives the same clip; a longer one begins as the shorter one does."""
    size: int = 256
    """Width and height in pixels, even, 64 to 1024."""
    fps: float = 25.0
    """Frames per second."""
    focal: float = 2.0
    """Focal length in image widths, at least 0.8. The head is as large with any; the nearer the camera the more it is
    foreshortened."""

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
                raise UserError(f"--{name.replace('_', '-')} {value:g}: must be from {low:g} to {high:g}")
        if self.size % 2:
            raise UserError(f"--size {self.size}: must be even")


def truth_path(clip: Path) -> Path:
    """Where the ground truth of a clip lies: `demo.mp4` has `demo.truth.npz`."""
    return clip.with_suffix(".truth.npz")


def make_clip(
    output: Path, config: ClipConfig | None = None, progress: Callable[[int, int], None] | None = None
) -> None:
    """Renders the demo subject talking to an mp4 with sound, and writes the ground truth beside it.

    The truth, an `.npz` beside the clip (`truth_path`), has for every frame i, at time i / fps:

    - `head_to_camera` [T 4 4]: head space to camera space, axes as in `dataset_folder`; one unit is the distance of
      the outer eye corners, the origin the centroid of `portrait.RIGID`.
    - `torso_motion` [T 4]: as `ClipAttributes.torso_motion`; the reference is the portrait, not the first frame.
    - `mouth_opening` [T]: gap between the inner lips at the middle of the mouth, in head units; 0 when closed.
    - `mouth_rounding` [T]: -1 spread to 1 rounded.
    - `eye_opening` [T 2]: 0 closed to 1 open, the eye on the image's left first.

    and for the clip `fps`, `size`, `focal_length` in pixels (the principal point is the centre), `blinks` [B 3] (start,
    apex, end, in s), `phoneme_labels` [N] (espeak mnemonics) and `phoneme_times` [N 2] (start, end, in s).

    Args:
        output: the mp4.
        config: what it is like.
        progress: called after every frame with the number of frames done and of all.

    Raises:
        UserError: if an option is out of range or the output cannot be written.
    """
    config = config or ClipConfig()
    config.check()
    frames = max(round(config.seconds * config.fps), 1)
    times = np.arange(frames) / config.fps
    renderer = Renderer(load_portrait(), config.size, config.focal)
    speech = make_speech(frames / config.fps, config.seed)
    opening, rounding = mouth_shape(speech.phonemes, times)
    motion = make_motion(config, renderer.reference, times, config.seed)
    tags = {"title": "dfa-nerfstudio demo subject", "comment": "synthetic: an animated public-domain portrait"}
    with VideoWriter(output, config.fps, (config.size, config.size), SAMPLE_RATE, tags) as writer:
        writer.hear(speech.samples)
        for i in range(frames):
            writer.write(
                renderer.render(
                    motion.head_to_camera[i], motion.torso_motion[i], opening[i], rounding[i], motion.eye_opening[i]
                )
            )
            if progress:
                progress(i + 1, frames)
        _write_truth(truth_path(output), config, speech, motion, opening, rounding)


def _write_truth(
    path: Path, config: ClipConfig, speech: Speech, motion: Motion, opening: np.ndarray, rounding: np.ndarray
) -> None:
    with atomic_write(path) as partial:
        np.savez_compressed(
            partial,
            fps=config.fps,
            size=config.size,
            focal_length=config.focal * config.size,
            head_to_camera=motion.head_to_camera,
            torso_motion=motion.torso_motion,
            mouth_opening=opening,
            mouth_rounding=rounding,
            eye_opening=motion.eye_opening,
            blinks=motion.blinks,
            phoneme_labels=np.array([phoneme.label for phoneme in speech.phonemes]),
            phoneme_times=np.array([(phoneme.start, phoneme.end) for phoneme in speech.phonemes]).reshape(-1, 2),
        )
