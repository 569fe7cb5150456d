"""Renders the demo subject with a pinhole camera: background, torso, neck and head, blended in this order."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from dfa_nerfstudio.demo.face_texture import FaceTexture
from dfa_nerfstudio.demo.portrait import SCENE_MARGIN, SCENE_SIZE, TEXTURE_SCALE, Portrait

_NECK_RELIEF = 22.0
"""Depth of the neck behind the eyes, in scene pixels."""
_NUM_ITERATIONS = 8
"""Fixed-point iterations that find the surface point of a pixel. The remaining error is far below a pixel."""


class SubjectRenderer:
    """Renders frames of `size` by `size` pixels. Pixels are square; the principal point is the image centre.

    The head is a depth map in the portrait's camera (`Portrait.relief`), static in head space; each pixel's ray is
    intersected with it. The torso is a plane that moves by a similarity. The neck's skin interpolates between the two.
    """

    def __init__(self, portrait: Portrait, size: int, focal: float) -> None:
        """Prepares the layers; `size` is in pixels, `focal` is the focal length in image widths."""
        self.portrait = portrait
        self.size = size
        self.focal = focal * SCENE_SIZE  # focal length of the portrait's camera, scene pixels
        self.reference = portrait.head_pose(self.focal)
        self.face = FaceTexture(portrait)
        area = cv2.INTER_AREA if size < SCENE_SIZE * TEXTURE_SCALE else cv2.INTER_CUBIC
        self._background = cv2.resize(portrait.background, (size, size), interpolation=area)
        centres = (np.arange(size) + 0.5) / size * SCENE_SIZE
        self._pixels = np.stack(np.meshgrid(centres, centres), -1).astype(np.float32)  # in scene pixels

    def render(
        self,
        head_to_camera: Float[np.ndarray, "4 4"],
        torso_motion: Float[np.ndarray, "4"],
        mouth_opening: float,
        rounding: float,
        eye_opening: Float[np.ndarray, "2"],
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Renders one RGB frame."""
        image = self._background.copy()
        torso = self._torso_matrix(torso_motion)
        rigid = head_to_camera @ np.linalg.inv(self.reference)  # camera space: portrait to this frame
        _blend(image, *self._torso(torso))
        _blend(image, *self._neck(torso, rigid))
        texture = self.face.texture(mouth_opening, rounding, eye_opening)
        _blend(image, *self._head(texture, rigid))
        return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)

    def _torso_matrix(self, motion: Float[np.ndarray, "4"]) -> Float[np.ndarray, "2 3"]:
        """Converts torso motion to a similarity in scene pixels, y down."""
        dx, dy, log_scale, angle = motion
        cos, sin = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
        linear = np.array([[cos, sin], [-sin, cos]])
        centre = np.full(2, SCENE_SIZE / 2)
        return np.column_stack([linear, centre - linear @ centre + self.focal * np.array([dx, -dy])])

    def _torso(self, matrix: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        inverse = cv2.invertAffineTransform(matrix)
        source = self._pixels @ inverse[:, :2].T + inverse[:, 2]
        return _sample(self.portrait.torso, source[..., 0], source[..., 1]), np.s_[:, :]

    def _neck(self, torso: np.ndarray, rigid: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        corners = _corners(self.portrait.neck)
        with_torso, with_head = corners @ torso[:, :2].T + torso[:, 2], self._move(corners, _NECK_RELIEF, rigid)
        window = self._window(np.concatenate([with_torso, with_head]))
        pixels = self._pixels[window]
        source = pixels
        for _ in range(_NUM_ITERATIONS):
            weight = _sample(self.portrait.neck_weight, source[..., 0], source[..., 1], scale=1)
            with_torso = source @ torso[:, :2].T + torso[:, 2]
            target = with_torso + weight[..., None] * (self._move(source, _NECK_RELIEF, rigid) - with_torso)
            source = (source + pixels - target).astype(np.float32)
        return _sample(self.portrait.neck, source[..., 0], source[..., 1]), window

    def _move(self, points: np.ndarray, relief: float, rigid: np.ndarray) -> np.ndarray:
        """Projects points with a relief to scene pixels after they have moved with the head."""
        points = np.concatenate([points, np.full((*points.shape[:-1], 1), relief)], -1)
        moved = self.portrait.unproject(points, self.focal) @ rigid[:3, :3].T + rigid[:3, 3]
        return SCENE_SIZE / 2 + self.focal * moved[..., :2] / -moved[..., 2:] * (1, -1)

    def _window(self, points: np.ndarray) -> tuple[slice, slice]:
        """Returns rows and columns of the image that contain the points, given in scene pixels."""
        scale, margin = self.size / SCENE_SIZE, 4
        low = np.clip(np.floor((points.min(0) - margin) * scale).astype(int), 0, self.size)
        high = np.clip(np.ceil((points.max(0) + margin) * scale).astype(int), 0, self.size)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _head(self, texture: Float32[np.ndarray, "W W 4"], rigid: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
        """Intersects every pixel's ray with the surface of the head and samples the texture there.

        A point at depth t on the ray is transformed into the portrait's camera. Its depth there is compared with the
        surface's depth at the same position, and t is corrected by the difference until they agree.
        """
        portrait, focal, centre = self.portrait, np.float32(self.focal), np.float32(SCENE_SIZE / 2)
        unit = np.float32(portrait.head_unit)
        corners = _corners(texture)
        nearest, farthest = portrait.relief.min(), portrait.relief.max()
        window = self._window(np.concatenate([self._move(corners, depth, rigid) for depth in (nearest, farthest)]))
        back = np.linalg.inv(rigid).astype(np.float32)
        pixels = (self._pixels[window] - centre) / focal
        x, y, z = (back[i, 0] * pixels[..., 0] - back[i, 1] * pixels[..., 1] - back[i, 2] for i in range(3))
        depth = np.full(x.shape, -(rigid @ [0, 0, -focal / unit, 1])[2], np.float32)
        across, down = x, y
        for _ in range(_NUM_ITERATIONS):
            distance = -(depth * z + back[2, 3])
            across = centre + focal * (depth * x + back[0, 3]) / distance
            down = centre - focal * (depth * y + back[1, 3]) / distance
            relief = _sample(portrait.relief, across, down, scale=1)
            depth += 0.8 * ((focal + relief) / unit - distance)
        return _sample(texture, across, down), window


def _corners(texture: np.ndarray) -> np.ndarray:
    """Returns the corners [4 2] of the non-transparent rectangle, in scene pixels."""
    columns, rows = (np.flatnonzero(texture[..., 3].max(axis) > 0)[[0, -1]] for axis in (0, 1))
    return np.array([(x, y) for x in columns for y in rows]) / TEXTURE_SCALE - SCENE_MARGIN


def _sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray, scale: int = TEXTURE_SCALE) -> np.ndarray:
    """Samples a texture or map, with `scale` pixels per scene pixel, at scene pixels."""
    columns, rows = (((axis + SCENE_MARGIN) * scale - 0.5).astype(np.float32) for axis in (x, y))
    return cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _blend(image: np.ndarray, layer: np.ndarray, window: tuple[slice, slice]) -> None:
    """Blends a layer with premultiplied alpha over the image, in place."""
    part = image[window]
    part *= 1 - layer[..., 3:]
    part += layer[..., :3]
