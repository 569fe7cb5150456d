"""Detects cuts: jump cuts within a scene, and changes of scene.

A cut changes the image within one frame, far more than the changes around it. Motion, however fast, takes several
frames; after a flash the image returns; a lamp changes the light and not the scene. At a *jump cut* the person jumps in
front of the same background, and the clip remains one dataset. At a *change of scene* background or framing change.
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
from dfa_nerfstudio.media.frame_rows import FrameRows
from dfa_nerfstudio.media.video_reader import rotate_upright

SIGNATURE_WIDTH = 64
"""Width of the signature of a frame, pixels."""
NEIGHBOURHOOD = 12
"""Number of frames before and after a change that it is compared to."""
MIN_CUT_RATIO = 3.5
"""Ratio of a cut's change to the second largest change around it. The largest may be another cut."""
CHANGE_NOISE = 0.5
"""Grey levels added to every change of reference, because compression alone changes a static image."""
FLASH_FRAMES = 5
"""Maximum duration of a flash, frames."""
SAME_LEVELS = 8.0
"""Difference, in grey levels, within which a background pixel is unchanged."""
SAME_SCENE_FRACTION = 0.5
"""Minimum fraction of the background that is unchanged at a jump cut."""
ZOOMS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.27, 1.35, 1.45)
"""Zoom factors that the search for a reframed background tries."""
REFRAMED = 0.08
"""Relative zoom, or shift in image widths, above which the framing has changed."""
HEAD_NOISE = 0.006
"""As `CHANGE_NOISE`, for positions of the head, in face heights."""


class Cut(NamedTuple):
    """A cut between two frames."""

    frame: int
    """Number of the first frame after the cut."""
    same_scene: bool
    """Whether it is a jump cut."""


@dataclass
class CutDetector:
    """Detects cuts in a stream of frames; it keeps one number per frame."""

    _changes: list[float] = field(default_factory=list)
    _recent: deque[Float32[np.ndarray, "h w 3"]] = field(default_factory=lambda: deque(maxlen=FLASH_FRAMES))
    _candidates: dict[int, list[Float32[np.ndarray, "h w 3"]]] = field(default_factory=dict)
    """Signatures of the `FLASH_FRAMES` frames before and after each possible cut, by number of the frame after it."""

    def add(self, frame: av.VideoFrame) -> None:
        """Processes the next frame."""
        current, number = frame_signature(frame), len(self._changes)
        for candidate, around in self._candidates.items():
            if number - candidate < FLASH_FRAMES:
                around.append(current)
        change = signature_difference(current, self._recent[-1]) if self._recent else 0.0
        reference = sorted([0.0, 0.0, *self._changes[-NEIGHBOURHOOD:]])[-2]
        if change > MIN_CUT_RATIO * (reference + CHANGE_NOISE):
            self._candidates[number] = [*self._recent, current]
        self._changes.append(change)
        self._recent.append(current)

    def cuts(self) -> list[Cut]:
        """Returns all cuts of the frames so far."""
        sudden = exceeds_neighbours(np.array(self._changes), CHANGE_NOISE)
        cuts = []
        for number, around in self._candidates.items():
            num_before = min(number, FLASH_FRAMES)
            before, after = around[:num_before], around[num_before:]
            min_difference = min(signature_difference(a, b) for a in after for b in before)
            is_flash = min_difference < 0.4 * self._changes[number]
            if sudden[number] and not is_flash:
                cuts.append(Cut(number, is_same_background(before[-1], after[0])))
        return cuts


def frame_signature(frame: av.VideoFrame) -> Float32[np.ndarray, "h w 3"]:
    """Returns a thumbnail of luma and two chroma channels, 0 to 255."""
    width, height = SIGNATURE_WIDTH, max(2, round(SIGNATURE_WIDTH * frame.height / frame.width))
    if frame.format.name in ("yuv420p", "yuvj420p"):  # most videos: the planes are read without conversion
        small = []
        for plane in frame.planes:
            pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            step = max(1, plane.width // (4 * width))  # averaging all pixels of a large frame would be slow
            pixels = np.ascontiguousarray(pixels[::step, ::step])
            small.append(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    else:
        small = list(frame.reformat(width, height, "yuv444p", interpolation="AREA").to_ndarray())
    return rotate_upright(np.stack(small, axis=-1).astype(np.float32), frame)


def signature_difference(first: Float32[np.ndarray, "h w 3"], second: Float32[np.ndarray, "h w 3"]) -> float:
    """Returns the mean difference of luma in grey levels, after contrast and brightness of `second` are matched."""
    a, b = first[..., 0] - first[..., 0].mean(), second[..., 0] - second[..., 0].mean()
    contrast = np.clip(np.vdot(a, b) / max(np.vdot(b, b), 1e-3), 0.5, 2)
    return float(np.abs(a - contrast * b).mean())


def is_same_background(first: Float32[np.ndarray, "h w 3"], second: Float32[np.ndarray, "h w 3"]) -> bool:
    """Returns whether two signatures show the same background at the same position, up to brightness.

    Only the upper border of the image is compared, because the person hardly covers it.
    """
    border = _border_mask(first.shape[:2])
    change = first[border] - second[border]
    change[:, 0] -= np.median(change[:, 0])
    unchanged = (np.abs(change).max(-1) < SAME_LEVELS).mean()
    before, after = first[..., 0], second[..., 0]
    if unchanged < SAME_SCENE_FRACTION:
        return False
    return not (_is_reframed(before, after, border) or _is_reframed(after, before, border))


def _border_mask(shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    height, width = shape
    border = np.zeros((height, width), bool)
    border[: round(0.6 * height)] = True
    border[round(0.1 * height) : round(0.6 * height), round(0.2 * width) : round(0.8 * width)] = False
    return border


def _is_reframed(
    first: Float32[np.ndarray, "h w"], second: Float32[np.ndarray, "h w"], border: Bool[np.ndarray, "h w"]
) -> bool:
    """Returns whether `second` shows the background of `first` clearly zoomed or shifted.

    A smooth background hides such a change from a comparison pixel by pixel.
    """
    height, width = first.shape

    def misfit(zoom: float, dx: float, dy: float) -> float:
        matrix = np.array([[zoom, 0, width / 2 * (1 - zoom) + dx], [0, zoom, height / 2 * (1 - zoom) + dy]])
        warped = cv2.warpAffine(first, matrix, (width, height), borderValue=(-1e6,))
        visible = border & (warped > -1)
        if visible.sum() < 0.4 * border.sum():
            return np.inf
        change = warped[visible] - second[visible]
        return float(np.median(np.abs(change - np.median(change))))

    framings = [(zoom, dx, dy) for zoom in ZOOMS for dx in range(-12, 13, 2) for dy in range(-8, 9, 2)]
    misfits = [misfit(*framing) for framing in framings]
    zoom, dx, dy = framings[int(np.argmin(misfits))]
    changed = abs(zoom - 1) > REFRAMED or np.hypot(dx, dy) / width > REFRAMED
    return changed and misfit(1, 0, 0) > 2 * min(misfits) + 1


def find_head_jumps(landmarks: FrameRows, face_found: Bool[np.ndarray, " T"]) -> list[int]:
    """Returns jump cuts that are visible only in the head's position, because the head is small in the frame.

    Args:
        landmarks: of T frames, [T, 478, 3]; any values where the face was not found.
        face_found: frames that show the face.

    Returns:
        numbers of the first frames after the jumps.
    """
    rigid = landmarks.map(lambda chunk: chunk[:, RIGID, :2])
    face_height = np.median(landmarks.map(lambda chunk: np.ptp(chunk[:, :, 1], axis=1))[face_found])
    moved = np.linalg.norm(np.diff(rigid, axis=0), axis=-1).mean(-1) / face_height
    change = np.r_[0, np.where(face_found[1:] & face_found[:-1], moved, 0)]
    return np.flatnonzero(exceeds_neighbours(change, HEAD_NOISE)).tolist()


def exceeds_neighbours(change: Float[np.ndarray, " T"], noise: float) -> Bool[np.ndarray, " T"]:
    """Returns where `change` is far above all but one of the changes in the `NEIGHBOURHOOD` frames before and after."""
    padded = np.pad(change, NEIGHBOURHOOD)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURHOOD + 1).copy()  # [T, 2 N + 1]
    around[:, NEIGHBOURHOOD] = 0
    reference = np.partition(around, -2, axis=1)[:, -2]
    return change > MIN_CUT_RATIO * (reference + noise)
