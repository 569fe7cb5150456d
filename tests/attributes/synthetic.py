"""A synthetic clip whose mouth, eyes and head follow known signals, and whose audio follows the mouth."""

from __future__ import annotations

import math

import numpy as np

from dfa_nerfstudio.data.dataset_folder import ClipAttributes

COEFFICIENTS = 13


def smooth_noise(rng: np.random.Generator, length: int, width: float, channels: int = 1) -> np.ndarray:
    """Unit-variance noise [length, channels] smoothed over about `width` samples."""
    reach = math.ceil(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    white = rng.standard_normal((length + 2 * reach, channels))
    smooth = np.stack([np.convolve(white[:, c], kernel, "valid") for c in range(channels)], 1)
    return (smooth - smooth.mean(0)) / smooth.std(0)


def neutral_face() -> np.ndarray:
    """68 landmarks [68, 3] in iBUG order, in units of the distance of the outer eye corners."""
    face = np.zeros((68, 3))
    angle = np.linspace(np.pi, 2 * np.pi, 17)
    face[:17, :2] = np.stack([0.75 * np.cos(angle), 1.3 * np.sin(angle)], 1)
    face[17:27, 0], face[17:27, 1] = np.linspace(-0.6, 0.6, 10), 0.25
    face[27:36, 1] = np.linspace(0.0, -0.5, 9)
    ring = np.linspace(np.pi, -np.pi, 7)[:6]
    for start, centre in ((36, -0.34), (42, 0.34)):
        face[start : start + 6, 0] = centre + 0.16 * np.cos(ring)
        face[start : start + 6, 1] = 0.06 * np.sin(ring)
    for start, count, size in ((48, 12, 0.26), (60, 8, 0.18)):
        ring = np.linspace(np.pi, -np.pi, count + 1)[:-1]
        face[start : start + count, 0] = size * np.cos(ring)
        face[start : start + count, 1] = -0.8 + 0.3 * size * np.sin(ring)
    return face


def rotation(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices [T, 3, 3] of rotation vectors [T, 3] by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None] + 1e-12
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3) / angle
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def synthetic_clip(frames: int = 500, seed: int = 0, *, speech: bool = True) -> ClipAttributes:
    """A clip of `frames` frames. Without `speech` the audio is independent of the mouth."""
    rng = np.random.default_rng(seed)
    opening = 1.5 + smooth_noise(rng, 4 * frames, 9, 2)  # two degrees of freedom of the lips, at the rate of the MFCC
    audible = opening if speech else 1.5 + smooth_noise(rng, 4 * frames, 9, 2)
    mouth = 0.05 * opening[::4].clip(0)  # [T, 2]
    eyes = np.full((frames, 2), 0.85) + 0.03 * smooth_noise(rng, frames, 20, 2)
    for blink in np.arange(20, frames - 20, 70) + rng.integers(-12, 13, len(range(20, frames - 20, 70))):
        eyes[blink : blink + 7] *= (1 - np.array([0.3, 0.8, 1, 1, 0.8, 0.5, 0.2]))[:, None]
    face = neutral_face()
    front = np.repeat(face[None], frames, 0)
    for start in (36, 42):
        front[:, start : start + 6, 1] *= eyes[:, (start - 36) // 6, None]
    lower = front[..., 1] < -0.8
    front[:, 48:68, 1] += np.where(lower, -1, 1)[:, 48:68] * mouth[:, :1]
    front[:, 48:68, 0] *= 1 + mouth[:, 1:]
    front[:, 5:12, 1] -= mouth[:, :1]
    front += 0.001 * rng.standard_normal(front.shape)
    pose = np.tile(np.eye(4), (frames, 1, 1))
    drift = smooth_noise(rng, frames, 12, 6)
    pose[:, :3, :3] = rotation(0.08 * drift[:, :3])
    pose[:, :3, 3] = [0, 0, -7] + 0.1 * drift[:, 3:]
    mixing = np.random.default_rng(99).standard_normal((2, COEFFICIENTS))
    mfcc = np.tanh(audible @ mixing) * 20 + 3 * rng.standard_normal((4 * frames, COEFFICIENTS))
    return ClipAttributes(
        shot=np.zeros(frames, np.int32),
        face_found=np.ones(frames, bool),
        landmarks=np.zeros((frames, 478, 3), np.float32),
        front_landmarks=front.astype(np.float32),
        head_to_camera=pose.astype(np.float32),
        torso_motion=(0.02 * drift[:, [3, 4, 5, 2]]).astype(np.float32),
        eye_opening=eyes.clip(0, 1).astype(np.float32),
        torso_deviation=np.zeros((frames, 4), np.float32),
        torso_found=np.ones(frames, bool),
        blinks=np.zeros((0, 3), np.float32),
        mouth_opening=(2 * mouth[:, 0]).astype(np.float32),
        expression=np.zeros((frames, 1), np.float32),
        blendshapes=np.zeros((frames, 0), np.float32),
        mean_shape=face.astype(np.float32),
        identity_basis=np.zeros((68, 3, 1), np.float32),
        identity=np.zeros(1, np.float32),
        expression_basis=np.zeros((68, 3, 1), np.float32),
        mfcc=mfcc.astype(np.float32),
        mfcc_mean=mfcc.mean(0).astype(np.float32),
        mfcc_std=mfcc.std(0).astype(np.float32),
        loudness=np.zeros(len(mfcc), np.float32),
        voice=np.ones(len(mfcc), bool),
    )
