"""Small grey images of both eyes, aligned by the head pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.face.head_pose import Points, Poses, project_points
from dfa_nerfstudio.face.topology import EYE_CORNERS

REACH = np.array([0.3, 0.2])
"""Half width and half height of a patch, in head space units: the lids, and some skin around them because a tracker
misplaces the eyes of a head that is seen from the side."""
WIDTH, HEIGHT = 24, 16
"""Size of a patch, pixels: a lid moves by about 4 of them."""
BLUR = 1.0
"""Standard deviation of the blur of a patch, pixels, which makes it robust against jitter of the head pose: with 0.3
pixels more of it, the precision of the blinks learnt from `interview_6min_24fps` is 0.83, without blur 0.31."""
SUPERSAMPLING = 4
"""Samples per pixel and axis, so that fine edges such as the rims of glasses do not flicker."""


def eye_patches(
    images: Sequence[UInt8[np.ndarray, "S S"]], poses: Poses, shape: Points, focal: float
) -> UInt8[np.ndarray, "T 2 h w"]:
    """Samples the patches of T frames, the eye on the image's left first; 768 bytes per frame.

    A patch is a rectangle in head space, parallel to the face, around the middle of the eye's corners. The lids' own
    landmarks do not move it.

    Args:
        images: the frames, grey.
        poses: their head poses.
        shape: mean positions of the landmarks in head space.
        focal: focal length in image sides.
    """
    across, up = REACH[0] * np.array([1, 0, 0]), REACH[1] * np.array([0, 1, 0])
    centres = shape[EYE_CORNERS].mean(1)  # [2, 3]
    corners = np.stack([centres - across + up, centres + across + up, centres - across - up], 1)  # [2, 3, 3]
    position = project_points(poses.to_camera(corners.reshape(6, 3)), focal).reshape(-1, 2, 3, 2)
    size = np.array([WIDTH, HEIGHT]) * SUPERSAMPLING
    source = np.array([[0, 0], [size[0], 0], [0, size[1]]], np.float32) - 0.5  # pixel centres are whole numbers
    patches = np.empty((len(poses), 2, HEIGHT, WIDTH), np.uint8)
    for image, targets, result in zip(images, position, patches, strict=True):
        for eye, target in enumerate(targets):
            pixels = ((target * [1, -1] + 0.5) * len(image) - 0.5).astype(np.float32)
            fine = cv2.warpAffine(
                image,
                cv2.getAffineTransform(source, pixels),
                size.tolist(),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            small = cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            result[eye] = cv2.GaussianBlur(small, (0, 0), BLUR)
    return patches
