"""Rays in the two frames of reference of the field, and the background behind them.

A sample has a place in head space, where the head stands still, and one in torso space: the film camera's view moved
back by the torso's own motion, where the clothes stand still. Both are affine in the position along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack


@dataclass
class Rays:
    """R rays in both frames of reference, each at the moment of one of U frames.

    Torso space is projective: u, v in units of the focal length on the image plane, and depth. Before the division the
    points are `torso_origins + t torso_directions` = (u depth, v depth, depth).
    """

    head_origins: Float[Tensor, "R 3"]
    head_directions: Float[Tensor, "R 3"]
    """Unit length."""
    camera_origins: Float[Tensor, "R 3"]
    """In the film camera's space, depth positive along the view."""
    camera_directions: Float[Tensor, "R 3"]
    torso_origins: Float[Tensor, "R 3"]
    torso_directions: Float[Tensor, "R 3"]
    frame: Int[Tensor, " R"]
    """Index of the ray's frame among the U frames."""


def make_rays(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    frame: Int[Tensor, " R"],
    attributes: AttributeTrack,
) -> Rays:
    """Places rays given in head space in the camera and torso space of their moment.

    The film's own camera at that moment decides, not the camera that looks: seen from elsewhere, torso and background
    stay where the film has them.

    Args:
        origins: in head space.
        directions: in head space, unit length.
        frame: index into `attributes` per ray.
        attributes: the U frames' attributes.
    """
    flip = origins.new_tensor([1.0, 1.0, -1.0])  # OpenGL looks along -z; depth is positive
    rotation = attributes.head_to_camera[:, :3, :3] * flip[:, None]  # [U, 3, 3]
    translation = attributes.head_to_camera[:, :3, 3] * flip  # [U, 3]
    camera_origins = torch.einsum("rij,rj->ri", rotation[frame], origins) + translation[frame]
    camera_directions = torch.einsum("rij,rj->ri", rotation[frame], directions)
    still = _torso_stillness(attributes.torso_motion)[frame]  # [R, 3, 3]
    return Rays(
        head_origins=origins,
        head_directions=directions,
        camera_origins=camera_origins,
        camera_directions=camera_directions,
        torso_origins=torch.einsum("rij,rj->ri", still, camera_origins),
        torso_directions=torch.einsum("rij,rj->ri", still, camera_directions),
        frame=frame,
    )


def _torso_stillness(motion: Float[Tensor, "U 4"]) -> Float[Tensor, "U 3 3"]:
    """The inverse of the torso's image-plane similarity, as a linear map of (u depth, v depth, depth)."""
    dx, dy, log_scale, angle = motion.unbind(-1)
    cos, sin = torch.cos(angle) * torch.exp(-log_scale), torch.sin(angle) * torch.exp(-log_scale)
    zero, one = torch.zeros_like(dx), torch.ones_like(dx)
    rows = [
        torch.stack([cos, sin, -cos * dx - sin * dy], -1),
        torch.stack([-sin, cos, sin * dx - cos * dy], -1),
        torch.stack([zero, zero, one], -1),
    ]
    return torch.stack(rows, -2)


def background_colour(
    rays: Rays,
    background: Float[Tensor, "3 H W"],
    half_extent: Float[Tensor, 2],
    distance: float,
    plain: Float[Tensor, 3],
) -> Float[Tensor, "R 3"]:
    """What a ray sees behind the person: the background as a plane that fills the film camera's view.

    For rays of the film camera this is the background's own pixel, whatever the distance.

    Args:
        rays: the rays.
        background: image in [0, 1].
        half_extent: u at the image's right edge, v at its top edge.
        distance: depth of the plane.
        plain: colour around the plane and behind the camera.
    """
    depth = rays.camera_directions[:, 2]
    steps = (distance - rays.camera_origins[:, 2]) / torch.where(depth.abs() < 1e-6, 1e-6, depth)
    points = rays.camera_origins + steps[:, None] * rays.camera_directions
    uv = points[:, :2] / distance / half_extent
    uv = uv * uv.new_tensor([1.0, -1.0])  # image rows run down
    colour = F.grid_sample(background[None], uv[None, None], padding_mode="border", align_corners=False)
    inside = (uv.abs() <= 1.0).all(-1) & (steps > 0)
    return torch.where(inside[:, None], colour[0, :, 0].t(), plain)
