"""The front of the face as a height field, on which every frame can be laid flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import map_coordinates

from dfa_nerfstudio.face.head_pose import Points, Poses
from dfa_nerfstudio.face.topology import BROWS, EYES, FACE_OVAL, NOSE_BASE, NUM_MESH

REACH = (0.80, 0.75)
"""Half the width and half the height of the part of head space that is laid flat."""
SMOOTHNESS = 0.05
"""Standard deviation in head space units by which the surface between landmarks is smoothed."""
RIM, AROUND = 0.03, 0.05
"""How far the rigid part keeps from the outline of the face, and from eyes and brows, in head space units."""


@dataclass
class FaceSurface:
    """z over a grid of x and y of head space; texel (0, 0) is the top left one."""

    height: Float[np.ndarray, "h w"]
    resolution: float
    """Texels per head space unit."""
    rigid: Bool[np.ndarray, "h w"]
    """Where no expression moves the skin: not the eyes, the brows, and what lies below the nose."""

    @classmethod
    def of(cls, shape: Points, resolution: float) -> FaceSurface:
        """The surface through a head's landmarks.

        Args:
            shape: all landmarks in head space.
            resolution: texels per unit.
        """
        width, height = (2 * round(reach * resolution) for reach in REACH)
        surface = cls(np.zeros((height, width)), resolution, np.zeros((height, width), bool))
        mesh = shape[:NUM_MESH]
        grid = surface.at(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
        inside = LinearNDInterpolator(mesh[:, :2], mesh[:, 2])(grid)
        around = NearestNDInterpolator(mesh[:, :2], mesh[:, 2])(grid)
        surface.height = cv2.GaussianBlur(
            np.where(np.isnan(inside), around, inside), (0, 0), SMOOTHNESS * resolution, borderType=cv2.BORDER_REPLICATE
        )
        surface.rigid = surface._rigid_part(shape)
        return surface

    def at(self, texels: Float[np.ndarray, "*n 2"] | Int[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """x and y of head space at texels (column, row)."""
        return (texels + 0.5) / self.resolution * [1, -1] + [-REACH[0], REACH[1]]

    def texels(self, points: Float[np.ndarray, "*n D"]) -> Float[np.ndarray, "*n 2"]:
        """Where points of head space lie (column, row); the inverse of `at`."""
        return (points[..., :2] - [-REACH[0], REACH[1]]) * [1, -1] * self.resolution - 0.5

    def lift(self, texels: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 3"]:
        """The points of the surface at texels."""
        z = map_coordinates(self.height, (texels[..., 1], texels[..., 0]), order=1, mode="nearest")
        return np.concatenate([self.at(texels), z[..., None]], -1)

    def tangents(self, texels: Int[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 3 2"]:
        """How the point of the surface moves with the texel's column and row."""
        x, y = texels.T
        right, down = (cv2.Scharr(self.height, cv2.CV_64F, *axis)[y, x] / 32 for axis in ((1, 0), (0, 1)))
        step, zero = np.full(len(texels), 1 / self.resolution), np.zeros(len(texels))
        return np.stack([np.stack([step, zero, right], -1), np.stack([zero, -step, down], -1)], -1)

    def points(self) -> Float32[np.ndarray, "h w 3"]:
        """The points of the surface at all texels."""
        height, width = self.height.shape
        grid = self.at(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
        return np.concatenate([grid, self.height[..., None]], -1).astype(np.float32)

    def _rigid_part(self, shape: Points) -> Bool[np.ndarray, "h w"]:
        def filled(parts: tuple[np.ndarray, ...]) -> np.ndarray:
            mask = np.zeros(self.height.shape, np.uint8)
            for part in parts:
                hull = cv2.convexHull(self.texels(shape[part]).round().astype(np.int32))
                cv2.fillConvexPoly(mask, hull, (1,))
            return mask

        def disc(radius: float) -> np.ndarray:
            side = 2 * max(1, round(radius * self.resolution)) + 1
            return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

        face = cv2.erode(filled((FACE_OVAL,)), disc(RIM), borderValue=(0,)) > 0
        moving = cv2.dilate(filled((*EYES, *BROWS)), disc(AROUND)) > 0
        below = np.arange(len(self.height)) > self.texels(shape[NOSE_BASE])[:, 1].max()
        return face & ~moving & ~below[:, None]


def flattened(
    images: Sequence[UInt8[np.ndarray, "S S"]], surface: FaceSurface, poses: Poses, focal: float
) -> list[Float32[np.ndarray, "h w"]]:
    """What frames show at each point of the surface.

    Args:
        images: grey.
        surface: the face.
        poses: of the frames.
        focal: in image sides.
    """
    points, side = surface.points(), len(images[0])
    middle = np.float32((side - 1) / 2)
    flat = []
    for image, rotation, translation in zip(images, poses.rotation, poses.translation, strict=True):
        x, y, z = np.moveaxis(points @ rotation.T.astype(np.float32) + translation.astype(np.float32), -1, 0)
        scale = np.float32(-focal * side) / z
        across, down = middle + x * scale, middle - y * scale
        flat.append(
            cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        )
    return flat
