"""Rays in the two frames of reference of the field.

A sample has a place in head space, where the head stands still, and one in torso space: the film camera's view moved
back by the torso's own motion, where the clothes stand still. Both are affine in the position along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack


@dataclass
class Scene:
    """The space that is rendered."""

    box: Float[Tensor, "2 3"]
    """Lower and upper corner in head space."""
    half_extent: Float[Tensor, "2"]
    """Half the film camera's view, horizontally and vertically, in units of the focal length."""
    near: float
    """Depths in the film camera between which the person is."""
    far: float


@dataclass
class Rays:
    """R rays in both frames of reference, each at the moment of one of U frames.

    `origins + t directions`, t in head space units, is a place in head space scaled so that the scene's box is the cube
    [-1, 1]^3; in the film camera's space as (x, y, depth); and in torso space before the division by depth.
    """

    head_origins: Float[Tensor, "R 3"]
    head_directions: Float[Tensor, "R 3"]
    camera_origins: Float[Tensor, "R 3"]
    camera_directions: Float[Tensor, "R 3"]
    torso_origins: Float[Tensor, "R 3"]
    torso_directions: Float[Tensor, "R 3"]
    frame: Int[Tensor, " R"]
    """Index of the ray's frame among the U frames."""

    def in_head_space(self, ray: Int[Tensor, " S"], distance: Float[Tensor, " S"]) -> Float[Tensor, "S 3"]:
        """Places along rays, the scene's box scaled to [-1, 1]^3."""
        return torch.addcmul(
            self.head_origins.index_select(0, ray), distance[:, None], self.head_directions.index_select(0, ray)
        )

    def in_torso_space(
        self, ray: Int[Tensor, " S"], distance: Float[Tensor, " S"], scene: Scene
    ) -> Float[Tensor, "S 3"]:
        """Places along rays as seen by the film camera where the torso stands still: u, v and depth, the view between
        the scene's depths scaled to [-1, 1]^3."""
        points = torch.addcmul(
            self.torso_origins.index_select(0, ray), distance[:, None], self.torso_directions.index_select(0, ray)
        )
        depth = points[:, 2:].clamp(min=0.1 * scene.near)
        scaled = (depth - scene.near) * (2 / (scene.far - scene.near)) - 1
        return torch.cat([points[:, :2] / (depth * scene.half_extent), scaled], dim=-1)


def make_rays(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    frame: Int[Tensor, " R"],
    attributes: AttributeTrack,
    scene: Scene,
    refined: tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]] | None = None,
) -> Rays:
    """Places rays given in head space in the frames of reference of their moment.

    The film's own camera at that moment decides, not the camera that looks: seen from elsewhere, torso and background
    stay where the film has them.

    Args:
        origins: in head space.
        directions: in head space, unit length.
        frame: index into `attributes` per ray.
        attributes: the U frames' attributes.
        scene: the space that is rendered.
        refined: origins and directions in head space where the head's pose has been refined; what the film's camera
            sees of torso and background stays where it was tracked.
    """
    flip = origins.new_tensor([1.0, 1.0, -1.0])  # OpenGL looks along -z; depth is positive
    rotation = attributes.head_to_camera[:, :3, :3] * flip[:, None]  # [U, 3, 3]
    translation = attributes.head_to_camera[:, :3, 3] * flip  # [U, 3]
    camera_origins = torch.einsum("rij,rj->ri", rotation[frame], origins) + translation[frame]
    camera_directions = torch.einsum("rij,rj->ri", rotation[frame], directions)
    still = _torso_stillness(attributes.torso_motion)[frame]  # [R, 3, 3]
    centre, half = scene.box.mean(0), (scene.box[1] - scene.box[0]) / 2
    if refined is not None:
        origins, directions = refined
    return Rays(
        head_origins=(origins - centre) / half,
        head_directions=directions / half,
        camera_origins=camera_origins,
        camera_directions=camera_directions,
        torso_origins=torch.einsum("rij,rj->ri", still, camera_origins),
        torso_directions=torch.einsum("rij,rj->ri", still, camera_directions),
        frame=frame,
    )


def _torso_stillness(motion: Float[Tensor, "U 4"]) -> Float[Tensor, "U 3 3"]:
    """The inverse of the torso's image-plane similarity, as a linear map of (u depth, v depth, depth)."""
    shift, (log_scale, angle) = motion[:, :2], motion[:, 2:].unbind(-1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, sin, -sin, cos], -1).unflatten(-1, (2, 2)) * torch.exp(-log_scale)[:, None, None]
    moved = -(turn * shift[:, None]).sum(-1, keepdim=True)  # [U, 2, 1]
    depth = motion.new_tensor([[0.0, 0.0, 1.0]]).expand(len(motion), 1, 3)
    return torch.cat([torch.cat([turn, moved], -1), depth], dim=1)
