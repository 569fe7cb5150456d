"""Cuts: where a film does not go on from one frame to the next.

A cut changes the picture within one frame, far above the usual change around it. Motion, however fast, takes several
frames; a flash comes back; a lamp changes the light and not the scene. After a *jump cut* the person has jumped before
the same background, and the clip is still one dataset. After a *change of scene* background or framing are others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import av
import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.media.video_reader import turned_upright

SIGNATURE_WIDTH = 64
AROUND = 12
"""Frames before and after that tell what change is usual."""
ABOVE_USUAL = 3.5
"""A cut changes the picture more than so many times the second largest change around it: the largest may be another
cut."""
NOISE = 0.5
"""Grey levels by which every change is taken as larger than it is: compression alone changes a still picture."""
FLASH = 5
"""Frames after which a flash has come back at the latest."""
UNCHANGED = 8.0
"""Grey levels within which the background counts as the same."""
SAME_SCENE = 0.5
"""Part of the background that is the same after a jump cut."""
SCALES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.27, 1.35, 1.45)
"""Zooms that are tried."""
REFRAMED = 0.08
"""Zoom, and shift in picture widths, from which on the framing counts as another one."""
JITTER = 0.006
"""As `NOISE`, of the head's places, in heights of the face."""


class Cut(NamedTuple):
    """A cut."""

    frame: int
    """The first frame after it."""
    same_scene: bool
    """Whether it is a jump cut."""


@dataclass
class CutDetector:
    """Looks for cuts while the frames of a video go by; what it keeps of a frame is one number."""

    _changes: list[float] = field(default_factory=list)
    _recent: deque[Float32[np.ndarray, "h w 3"]] = field(default_factory=lambda: deque(maxlen=FLASH))
    _candidates: dict[int, list[Float32[np.ndarray, "h w 3"]]] = field(default_factory=dict)
    """Per frame that may follow a cut, the `FLASH` frames before and after."""

    def add(self, frame: av.VideoFrame) -> None:
        """Takes the next frame."""
        seen, number = signature(frame), len(self._changes)
        for candidate, around in self._candidates.items():
            if number - candidate < FLASH:
                around.append(seen)
        change = difference(seen, self._recent[-1]) if self._recent else 0.0
        usual = sorted([0.0, 0.0, *self._changes[-AROUND:]])[-2]
        if change > ABOVE_USUAL * (usual + NOISE):
            self._candidates[number] = [*self._recent, seen]
        self._changes.append(change)
        self._recent.append(seen)

    def cuts(self) -> list[Cut]:
        """All cuts of the frames so far."""
        sudden = stands_out(np.array(self._changes), NOISE)
        found = []
        for number, around in self._candidates.items():
            past = min(number, FLASH)
            before, after = around[:past], around[past:]
            comes_back = min(difference(a, b) for a in after for b in before) < 0.4 * self._changes[number]
            if sudden[number] and not comes_back:
                found.append(Cut(number, same_background(before[-1], after[0])))
        return found


def signature(frame: av.VideoFrame) -> Float32[np.ndarray, "h w 3"]:
    """A thumbnail: brightness and two colour differences, 0 to 255."""
    width, height = SIGNATURE_WIDTH, max(2, round(SIGNATURE_WIDTH * frame.height / frame.width))
    if frame.format.name in ("yuv420p", "yuvj420p"):  # nearly all; its planes are read where they lie
        small = []
        for plane in frame.planes:
            pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            step = max(1, plane.width // (4 * width))  # averaging all pixels of a large picture takes its time
            pixels = np.ascontiguousarray(pixels[::step, ::step])
            small.append(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    else:
        small = list(frame.reformat(width, height, "yuv444p", interpolation="AREA").to_ndarray())
    return turned_upright(np.stack(small, axis=-1).astype(np.float32), frame)


def difference(first: Float32[np.ndarray, "h w 3"], second: Float32[np.ndarray, "h w 3"]) -> float:
    """Mean difference of brightness in grey levels when contrast and brightness of the second are fitted to the
    first."""
    a, b = first[..., 0] - first[..., 0].mean(), second[..., 0] - second[..., 0].mean()
    contrast = np.clip(np.vdot(a, b) / max(np.vdot(b, b), 1e-3), 0.5, 2)
    return float(np.abs(a - contrast * b).mean())


def same_background(first: Float32[np.ndarray, "h w 3"], second: Float32[np.ndarray, "h w 3"]) -> bool:
    """Whether the picture's upper rim, where a person hardly is, shows the same, but for the brightness, and in the
    same place."""
    rim = _rim(first.shape[:2])
    change = first[rim] - second[rim]
    change[:, 0] -= np.median(change[:, 0])
    unchanged = (np.abs(change).max(-1) < UNCHANGED).mean()
    before, after = first[..., 0], second[..., 0]
    return bool(unchanged >= SAME_SCENE) and not (_reframed(before, after, rim) or _reframed(after, before, rim))


def _rim(shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    height, width = shape
    rim = np.zeros((height, width), bool)
    rim[: round(0.6 * height)] = True
    rim[round(0.1 * height) : round(0.6 * height), round(0.2 * width) : round(0.8 * width)] = False
    return rim


def _reframed(
    first: Float32[np.ndarray, "h w"], second: Float32[np.ndarray, "h w"], rim: Bool[np.ndarray, "h w"]
) -> bool:
    """Whether `second` shows the background of `first` clearly zoomed or shifted: an edit from another distance, which
    a smooth background hides from a comparison pixel by pixel."""
    height, width = first.shape

    def misfit(scale: float, dx: float, dy: float) -> float:
        place = np.array([[scale, 0, width / 2 * (1 - scale) + dx], [0, scale, height / 2 * (1 - scale) + dy]])
        warped = cv2.warpAffine(first, place, (width, height), borderValue=(-1e6,))
        seen = rim & (warped > -1)
        if seen.sum() < 0.4 * rim.sum():
            return np.inf
        change = warped[seen] - second[seen]
        return float(np.median(np.abs(change - np.median(change))))

    framings = [(scale, dx, dy) for scale in SCALES for dx in range(-12, 13, 2) for dy in range(-8, 9, 2)]
    misfits = [misfit(*framing) for framing in framings]
    scale, dx, dy = framings[int(np.argmin(misfits))]
    far = abs(scale - 1) > REFRAMED or np.hypot(dx, dy) / width > REFRAMED
    return far and misfit(1, 0, 0) > 2 * min(misfits) + 1


def head_jumps(landmarks: Float[np.ndarray, "T 478 3"], found: Bool[np.ndarray, " T"]) -> list[int]:
    """Jump cuts that only the head shows, because it is small in the picture: frames whose head is elsewhere than in
    the frame before.

    Args:
        landmarks: any values where the face is not `found`.
        found: frames that show the face.
    """
    rigid = landmarks[:, RIGID, :2]
    height = np.median(np.ptp(landmarks[found, :, 1], axis=1))
    moved = np.linalg.norm(np.diff(rigid, axis=0), axis=-1).mean(-1) / height
    return np.flatnonzero(stands_out(np.r_[0, np.where(found[1:] & found[:-1], moved, 0)], JITTER)).tolist()


def stands_out(change: Float[np.ndarray, " T"], noise: float) -> Bool[np.ndarray, " T"]:
    """Where `change` is far above all but one of the changes in the `AROUND` frames before and after."""
    padded = np.pad(change, AROUND)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1).copy()  # [T, 2 AROUND + 1]
    around[:, AROUND] = 0
    usual = np.partition(around, -2, axis=1)[:, -2]
    return change > ABOVE_USUAL * (usual + noise)
