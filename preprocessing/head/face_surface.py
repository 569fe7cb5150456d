"""The front of the face as a height field, to which frames are unwrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import map_coordinates

from dfa_nerfstudio.face.head_pose import Points, Poses
from dfa_nerfstudio.face.topology import BROW_CONTOURS, EYE_CONTOURS, FACE_OVAL, NOSE_BASE, NUM_SKIN_LANDMARKS

HALF_EXTENT = (0.80, 0.75)
"""Half the width and half the height of the unwrapped part of head space."""
SURFACE_BLUR = 0.05
"""Standard deviation of the blur of the surface between landmarks, in head space units."""
OVAL_MARGIN, FEATURE_MARGIN = 0.03, 0.05
"""Distances of the rigid part from the face's outline, and from eyes and brows, in head space units."""


@dataclass
class FaceSurface:
    """z over a grid of x and y in head space; texel (0, 0) is the top left one."""

    height: Float[np.ndarray, "h w"]
    """z of each texel in head space."""
    resolution: float
    """Texels per head space unit."""
    rigid: Bool[np.ndarray, "h w"]
    """Texels that no expression moves: not the eyes, not the brows, and nothing below the nose."""

    @classmethod
    def from_landmarks(cls, shape: Points, resolution: float) -> FaceSurface:
        """Interpolates the surface between the landmarks of a head.

        Args:
            shape: all landmarks in head space.
            resolution: texels per unit.
        """
        width, height = (2 * round(half * resolution) for half in HALF_EXTENT)
        surface = cls(np.zeros((height, width)), resolution, np.zeros((height, width), bool))
        mesh = shape[:NUM_SKIN_LANDMARKS]
        grid = surface.to_head_space(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
        inside = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(grid)
        outside = NearestNDInterpolator(mesh[:, :2], mesh[:, 2])(grid)
        surface.height = cv2.GaussianBlur(
            np.where(np.isnan(inside), outside, inside),
            (0, 0),
            SURFACE_BLUR * resolution,
            borderType=cv2.BORDER_REPLICATE,
        )
        surface.rigid = surface._rigid_part(shape)
        return surface

    def to_head_space(self, texels: Float[np.ndarray, "*n 2"] | Int[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Returns x and y in head space of texels (column, row)."""
        return (texels + 0.5) / self.resolution * [1, -1] + [-HALF_EXTENT[0], HALF_EXTENT[1]]

    def to_texels(self, points: Float[np.ndarray, "*n D"]) -> Float[np.ndarray, "*n 2"]:
        """Returns the texels (column, row) of points in head space; inverts `to_head_space`."""
        return (points[..., :2] - [-HALF_EXTENT[0], HALF_EXTENT[1]]) * [1, -1] * self.resolution - 0.5

    def lift(self, texels: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 3"]:
        """Returns the points of the surface at texels."""
        z = map_coordinates(self.height, (texels[..., 1], texels[..., 0]), order=1, mode="nearest")
        return np.concatenate([self.to_head_space(texels), z[..., None]], -1)

    def tangents(self, texels: Int[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 3 2"]:
        """Returns the derivatives of the surface point with respect to column and row."""
        x, y = texels.T
        right, down = (cv2.Scharr(self.height, cv2.CV_64F, *axis)[y, x] / 32 for axis in ((1, 0), (0, 1)))
        step, zero = np.full(len(texels), 1 / self.resolution), np.zeros(len(texels))
        return np.stack([np.stack([step, zero, right], -1), np.stack([zero, -step, down], -1)], -1)

    def points(self) -> Float32[np.ndarray, "h w 3"]:
        """Returns the points of the surface at all texels."""
        height, width = self.height.shape
        grid = self.to_head_space(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
        return np.concatenate([grid, self.height[..., None]], -1).astype(np.float32)

    def _rigid_part(self, shape: Points) -> Bool[np.ndarray, "h w"]:
        def fill_hulls(contours: tuple[np.ndarray, ...]) -> np.ndarray:
            mask = np.zeros(self.height.shape, np.uint8)
            for contour in contours:
                hull = cv2.convexHull(self.to_texels(shape[contour]).round().astype(np.int32))
                cv2.fillConvexPoly(mask, hull, (1,))
            return mask

        def disc(radius: float) -> np.ndarray:
            side = 2 * max(1, round(radius * self.resolution)) + 1
            return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

        face = cv2.erode(fill_hulls((FACE_OVAL,)), disc(OVAL_MARGIN), borderValue=(0,)) > 0
        moving = cv2.dilate(fill_hulls((*EYE_CONTOURS, *BROW_CONTOURS)), disc(FEATURE_MARGIN)) > 0
        below_nose = np.arange(len(self.height)) > self.to_texels(shape[NOSE_BASE])[:, 1].max()
        return face & ~moving & ~below_nose[:, None]


def unwrap_to_surface(
    images: Sequence[UInt8[np.ndarray, "S S"]], surface: FaceSurface, poses: Poses, focal: float
) -> list[Float32[np.ndarray, "h w"]]:
    """Samples frames at each point of the surface.

    Args:
        images: grey frames.
        surface: the face.
        poses: head poses of the frames.
        focal: focal length in image sides.
    """
    points, side = surface.points(), len(images[0])
    centre = np.float32((side - 1) / 2)
    unwrapped = []
    for image, rotation, translation in zip(images, poses.rotation, poses.translation, strict=True):
        x, y, z = np.moveaxis(points @ rotation.T.astype(np.float32) + translation.astype(np.float32), -1, 0)
        scale = np.float32(-focal * side) / z
        columns, rows = centre + x * scale, centre - y * scale
        texture = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        unwrapped.append(texture.astype(np.float32))
    return unwrapped
