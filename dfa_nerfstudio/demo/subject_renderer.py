"""Renders the demo subject: background, torso, neck and head, one over the other, seen by a pinhole camera."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from dfa_nerfstudio.demo.face_texture import Face
from dfa_nerfstudio.demo.portrait import DETAIL, MARGIN, SCENE, Portrait

_NECK_DEPTH = 22.0
"""How much farther than the eyes the neck is, in scene pixels."""
_STEPS = 8
"""Steps of the search for the point that a pixel sees; the error is then far below a pixel."""


class Renderer:
    """Draws frames of `size` by `size` pixels. Pixels are square, the principal point is the centre.

    The head is a surface given by its depth as the portrait's camera sees it (`Portrait.relief`), and stands still in
    head space: every pixel's ray is followed to it. The torso is a plane that moves by a similarity. The neck's skin
    hangs between both.
    """

    def __init__(self, portrait: Portrait, size: int, focal: float) -> None:
        """`focal` is the focal length in image widths."""
        self.portrait = portrait
        self.size = size
        self.focal = focal * SCENE  # of the portrait's camera, scene pixels
        self.reference = portrait.head_pose(self.focal)
        self.face = Face(portrait)
        area = cv2.INTER_AREA if size < SCENE * DETAIL else cv2.INTER_CUBIC
        self._background = cv2.resize(portrait.background, (size, size), interpolation=area)
        centres = (np.arange(size) + 0.5) / size * SCENE
        self._pixels = np.stack(np.meshgrid(centres, centres), -1).astype(np.float32)  # in scene pixels

    def render(
        self,
        head_to_camera: Float[np.ndarray, "4 4"],
        torso_motion: Float[np.ndarray, "4"],
        mouth_opening: float,
        rounding: float,
        eye_opening: Float[np.ndarray, "2"],
    ) -> UInt8[np.ndarray, "size size 3"]:
        """One RGB frame."""
        image = self._background.copy()
        torso = self._torso_matrix(torso_motion)
        rigid = head_to_camera @ np.linalg.inv(self.reference)  # camera space in the portrait to camera space now
        _blend(image, *self._torso(torso))
        _blend(image, *self._neck(torso, rigid))
        texture = self.face.texture(mouth_opening, rounding, eye_opening)
        _blend(image, *self._head(texture, rigid))
        return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)

    def _torso_matrix(self, motion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "2 3"]:
        """The torso's similarity in scene pixels, y down."""
        dx, dy, log_scale, angle = motion
        cos, sin = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
        linear = np.array([[cos, sin], [-sin, cos]])
        centre = np.full(2, SCENE / 2)
        return np.column_stack([linear, centre - linear @ centre + self.focal * np.array([dx, -dy])])

    def _torso(self, matrix: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        inverse = cv2.invertAffineTransform(matrix)
        source = self._pixels @ inverse[:, :2].T + inverse[:, 2]
        return _sample(self.portrait.torso, source[..., 0], source[..., 1]), np.s_[:, :]

    def _neck(self, torso: np.ndarray, rigid: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        corners = _corners(self.portrait.neck)
        along_torso, along_head = corners @ torso[:, :2].T + torso[:, 2], self._move(corners, _NECK_DEPTH, rigid)
        window = self._window(np.concatenate([along_torso, along_head]))
        pixels = self._pixels[window]
        source = pixels
        for _ in range(_STEPS):
            weight = _sample(self.portrait.neck_weight, source[..., 0], source[..., 1], detail=1)
            along_torso = source @ torso[:, :2].T + torso[:, 2]
            now = along_torso + weight[..., None] * (self._move(source, _NECK_DEPTH, rigid) - along_torso)
            source = (source + pixels - now).astype(np.float32)
        return _sample(self.portrait.neck, source[..., 0], source[..., 1]), window

    def _move(self, points: np.ndarray, relief: float, rigid: np.ndarray) -> np.ndarray:
        """Where points of that relief, in scene pixels, are seen when they have moved with the head."""
        points = np.concatenate([points, np.full((*points.shape[:-1], 1), relief)], -1)
        moved = self.portrait.unproject(points, self.focal) @ rigid[:3, :3].T + rigid[:3, 3]
        return SCENE / 2 + self.focal * moved[..., :2] / -moved[..., 2:] * (1, -1)

    def _window(self, points: np.ndarray) -> tuple[slice, slice]:
        """The part of the image that covers points in scene pixels."""
        scale, margin = self.size / SCENE, 4
        low = np.clip(np.floor((points.min(0) - margin) * scale).astype(int), 0, self.size)
        high = np.clip(np.ceil((points.max(0) + margin) * scale).astype(int), 0, self.size)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _head(self, texture: Float32[np.ndarray, "W W 4"], rigid: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        """Follows every ray to the surface of the head.

        A point at depth t on a pixel's ray, carried back into the portrait's camera, lies at some depth there, while
        the surface has another one at that place: t is corrected by the difference until both agree.
        """
        portrait, focal, centre = self.portrait, np.float32(self.focal), np.float32(SCENE / 2)
        unit = np.float32(portrait.head_unit)
        corners = _corners(texture)
        nearest, farthest = portrait.relief.min(), portrait.relief.max()
        window = self._window(np.concatenate([self._move(corners, depth, rigid) for depth in (nearest, farthest)]))
        back = np.linalg.inv(rigid).astype(np.float32)
        pixels = (self._pixels[window] - centre) / focal
        x, y, z = (back[i, 0] * pixels[..., 0] - back[i, 1] * pixels[..., 1] - back[i, 2] for i in range(3))
        depth = np.full(x.shape, -(rigid @ [0, 0, -focal / unit, 1])[2], np.float32)
        across, down = x, y
        for _ in range(_STEPS):
            distance = -(depth * z + back[2, 3])
            across = centre + focal * (depth * x + back[0, 3]) / distance
            down = centre - focal * (depth * y + back[1, 3]) / distance
            relief = _sample(portrait.relief, across, down, detail=1)
            depth += 0.8 * ((focal + relief) / unit - distance)
        return _sample(texture, across, down), window


def _corners(texture: np.ndarray) -> np.ndarray:
    """The rectangle of what is not transparent, in scene pixels [4 2]."""
    columns, rows = (np.flatnonzero(texture[..., 3].max(axis) > 0)[[0, -1]] for axis in (0, 1))
    return np.array([(x, y) for x in columns for y in rows]) / DETAIL - MARGIN


def _sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray, detail: int = DETAIL) -> np.ndarray:
    """Looks a texture or map, with `detail` pixels per scene pixel, up at scene pixels."""
    columns, rows = (((axis + MARGIN) * detail - 0.5).astype(np.float32) for axis in (x, y))
    return cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _blend(image: np.ndarray, layer: np.ndarray, window: tuple[slice, slice]) -> None:
    """Puts a layer with premultiplied alpha over the image."""
    part = image[window]
    part *= 1 - layer[..., 3:]
    part += layer[..., :3]
