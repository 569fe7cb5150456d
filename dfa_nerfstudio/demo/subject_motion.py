"""Generates random, smooth motion of the demo subject: head, torso and blinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

NECK_PIVOT = np.array([0.0, -0.9, -1.0])
"""Pivot of the head's rotation in head space, in head units: below and behind the face."""
_TORSO_HEAD_CORRELATION = 0.8
"""Approximate correlation of the torso's motion with the head's."""


@dataclass
class SubjectMotionConfig:
    """Amplitudes of the subject's motion, and its blink rate."""

    yaw: float = 12.0
    """Maximum yaw of the head to either side, in degrees."""
    pitch: float = 8.0
    """Maximum pitch (nod), in degrees."""
    roll: float = 5.0
    """Maximum roll (tilt), in degrees."""
    translation: float = 0.12
    """Maximum shift of the torso, which the head follows, in head units."""
    blink_rate: float = 0.35
    """Blinks per second."""


@dataclass
class SubjectMotion:
    """Motion of T frames."""

    head_to_camera: Float[np.ndarray, "T 4 4"]
    """Head pose: head space to camera space."""
    torso_motion: Float[np.ndarray, "T 4"]
    """Torso motion as in `ClipAttributes.torso_motion`, relative to the portrait."""
    eye_opening: Float[np.ndarray, "T 2"]
    """Eye opening, 0 closed to 1 open, the eye on the left of the image first."""
    blinks: Float[np.ndarray, "B 3"]
    """Start, apex and end of each blink, in seconds."""


def smooth_noise(rng: np.random.Generator, times: Float[np.ndarray, " T"], channels: int) -> np.ndarray:
    """Samples smooth random motion [T channels] in [-1, 1]: a slow sway plus a smaller, quicker component.

    It depends on the generator's seed and on the times, not on the frame rate.
    """
    rate = 50.0
    padding = 4.0
    count = int((times[-1] + 2 * padding) * rate) + 2
    grid = np.arange(count) / rate - padding
    white = rng.standard_normal((count, 2, channels))
    result = np.zeros((len(times), channels))
    for layer, (width, weight) in enumerate(((0.9, 0.8), (0.28, 0.3))):  # s
        noise = gaussian_filter1d(white[:, layer], width * rate, axis=0)
        noise *= weight * np.sqrt(2 * np.sqrt(np.pi) * width * rate)  # unit variance before the weight
        result += np.stack([np.interp(times, grid, column) for column in noise.T], axis=1)
    return np.tanh(result)


def make_motion(
    config: SubjectMotionConfig, reference: Float[np.ndarray, "4 4"], times: Float[np.ndarray, " T"], seed: int
) -> SubjectMotion:
    """Generates the subject's motion around its pose in the portrait.

    Args:
        config: amplitudes and blink rate.
        reference: head pose of the portrait, head space to camera space.
        times: times of the frames, in seconds.
        seed: random seed; the same seed gives the same motion.
    """
    yaw, pitch, roll, *own = smooth_noise(np.random.default_rng((seed, 2)), times, 7).T
    # A head that turns, tilts or nods to one side also shifts to that side; the torso leans the same way.
    leaning = np.stack([(yaw - roll) / np.sqrt(2), -pitch, pitch], 1)
    sway = _TORSO_HEAD_CORRELATION * leaning + np.sqrt(1 - _TORSO_HEAD_CORRELATION**2) * np.stack(own[:3], 1)

    pivot = reference[:3, :3] @ NECK_PIVOT + reference[:3, 3]
    depth = -pivot[2]
    image_point = pivot[:2] / depth
    shift = config.translation / depth * np.array([0.8, 0.4]) * sway[:, :2]
    log_scale = 0.25 * config.translation / depth * sway[:, 2]
    angle = np.radians(0.25 * config.roll) * own[3]
    # The torso rotates and scales about the neck pivot; the head moves with that pivot.
    cos, sin, scale = np.cos(angle), np.sin(angle), np.exp(log_scale)
    turn = np.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2) * scale[:, None, None]
    torso = np.concatenate([image_point + shift - turn @ image_point, log_scale[:, None], angle[:, None]], 1)
    moved_pivot = np.concatenate([image_point + shift, -np.ones((len(times), 1))], 1) * (depth / scale)[:, None]

    angles = np.stack([config.yaw * yaw, config.pitch * pitch, config.roll * roll], 1)
    head = np.tile(np.eye(4), (len(times), 1, 1))
    head[:, :3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix() @ reference[:3, :3]
    head[:, :3, 3] = moved_pivot - head[:, :3, :3] @ NECK_PIVOT
    blinks = _blink_times(config.blink_rate, times[-1], seed)
    opening = eye_opening(blinks, times)
    return SubjectMotion(head, torso, np.stack([opening, opening], 1), blinks)


def _blink_times(rate: float, duration: float, seed: int) -> Float[np.ndarray, "B 3"]:
    """Samples start, apex and end (s) of blinks at `rate` blinks per second, each 0.15 to 0.30 s long."""
    rng = np.random.default_rng((seed, 3))
    blinks = []
    start = rng.uniform(0.4, 1.2) / max(rate, 1e-9) / 2.5
    while start < duration:
        length = rng.uniform(0.15, 0.30)
        blinks.append((start, start + 0.42 * length, start + length))
        # Gamma-distributed intervals of shape 4 keep near the mean; at least 0.4 s, so blinks never overlap.
        start += length + max(rng.gamma(4.0, (1 / max(rate, 1e-9) - 0.22) / 4.0), 0.4)
    return np.array(blinks).reshape(-1, 3)


def eye_opening(blinks: Float[np.ndarray, "B 3"], times: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Returns the eye opening at `times`, 1 open to 0 closed.

    The eye stays closed for 40 ms around the apex, so that a video of 25 frames/s shows every blink closed.
    """
    opening = np.ones(len(times))
    for start, apex, end in blinks:
        falling = (times - start) / (apex - 0.02 - start)
        rising = (end - times) / (end - apex - 0.02)
        closed = np.clip(np.minimum(falling, rising), 0, 1)
        opening = np.minimum(opening, 0.5 + 0.5 * np.cos(np.pi * closed))
    return opening
