"""Rays in the field's two coordinate frames.

A sample has a position in head space, where the head is static, and one in torso space, where the clothes are static:
the video camera's view with the torso's own motion undone. Both are affine in the distance along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack


@dataclass
class SceneBounds:
    """The rendered volume."""

    box: Float[Tensor, "2 3"]
    """Lower and upper corner of the rendered box, in head space."""
    half_extent: Float[Tensor, "2"]
    """Half the video camera's view, horizontally and vertically, in units of the focal length."""
    near: float
    """Smallest depth of the person in the video camera, in head space units."""
    far: float
    """Largest depth of the person in the video camera, in head space units; the background lies there."""


@dataclass
class Rays:
    """R rays, each at the time of one of U frames.

    `origins + t directions`, with t in head space units, is a position in head space, in the video camera's space, or
    in torso space before the division by depth. The latter two are affine maps of head space; rays in them are
    computed when they are first used.
    """

    head_origins: Float[Tensor, "R 3"]
    head_directions: Float[Tensor, "R 3"]
    """In head space, scaled so that the scene's box is the cube [-1, 1]^3."""
    frame: Int[Tensor, " R"]
    """Index of each ray's frame among the U frames."""
    to_camera: Float[Tensor, "U 3 4"]
    """Maps scaled head space to the video camera's space as (x, y, depth)."""
    to_torso: Float[Tensor, "U 3 4"]
    """Maps scaled head space to torso space before the division by depth."""

    @cached_property
    def camera_origins(self) -> Float[Tensor, "R 3"]:
        """Origins in the video camera's space."""
        return self._origins(self.to_camera)

    @cached_property
    def camera_directions(self) -> Float[Tensor, "R 3"]:
        """Directions in the video camera's space."""
        return _transform(self.to_camera[..., :3], self.frame, self.head_directions)

    @cached_property
    def torso_origins(self) -> Float[Tensor, "R 3"]:
        """Origins in torso space."""
        return self._origins(self.to_torso)

    @cached_property
    def torso_directions(self) -> Float[Tensor, "R 3"]:
        """Directions in torso space."""
        return _transform(self.to_torso[..., :3], self.frame, self.head_directions)

    def _origins(self, maps: Float[Tensor, "U 3 4"]) -> Float[Tensor, "R 3"]:
        origins, frame = self.head_origins, self.frame
        if len(maps) == 1 and _is_shared(origins):  # of a camera
            origins, frame = origins[:1], frame[:1]
        return (_transform(maps[..., :3], frame, origins) + maps[frame, :, 3]).expand(len(self.frame), 3)

    def __getitem__(self, rays: Int[Tensor, " r"]) -> Rays:
        origins, directions, frame = self.head_origins, self.head_directions, self.frame
        origins = origins[: len(rays)] if _is_shared(origins) else origins.index_select(0, rays)
        rows = directions.index_select(0, rays), frame.index_select(0, rays)
        return Rays(origins, *rows, self.to_camera, self.to_torso)

    def averaged(self, size: tuple[int, int], factor: int) -> Rays:
        """The rays of a smaller image: each is the mean of the rays of `factor x factor` pixels, all of one frame.

        Args:
            size: height and width of the image whose rays these are, row by row.
            factor: side of a square of pixels; at the right and lower border squares may be cut off.
        """
        length = -(-size[0] // factor) * -(-size[1] // factor)

        def mean(values: Float[Tensor, "R 3"]) -> Float[Tensor, "r 3"]:
            if _is_shared(values):
                return values[:length]
            image = values.view(1, *size, 3).permute(0, 3, 1, 2)
            return F.avg_pool2d(image, factor, ceil_mode=True)[0].flatten(1).T

        rays = mean(self.head_origins), mean(self.head_directions), self.frame[:length]
        return Rays(*rays, self.to_camera, self.to_torso)

    def in_head_space(self, ray: Int[Tensor, " S"], distance: Float[Tensor, " S"]) -> Float[Tensor, "S 3"]:
        """Positions of S samples in head space, the scene's box scaled to [-1, 1]^3."""
        return torch.addcmul(
            self.head_origins.index_select(0, ray), distance[:, None], self.head_directions.index_select(0, ray)
        )

    def in_torso_space(
        self, ray: Int[Tensor, " S"], distance: Float[Tensor, " S"], scene: SceneBounds
    ) -> Float[Tensor, "S 3"]:
        """Positions of S samples in torso space as u, v and depth; the video camera's view between the scene's depths
        is scaled to [-1, 1]^3."""
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
    scene: SceneBounds,
) -> Rays:
    """Transforms rays from head space to the coordinate frames at their time.

    Torso and background follow the video's own camera at that time, not the viewing camera, so that they keep their
    positions when the head is viewed from elsewhere.

    Args:
        origins: ray origins in head space.
        directions: ray directions in head space, unit length.
        frame: index into `attributes` per ray.
        attributes: the U frames' attributes.
        scene: the rendered volume.
    """
    flip = origins.new_tensor([1.0, 1.0, -1.0])  # OpenGL looks along -z; depth is positive
    centre, half = scene.box.mean(0), (scene.box[1] - scene.box[0]) / 2
    rotation = attributes.head_to_camera[:, :3, :3] * flip[:, None]  # [U, 3, 3]
    offset = rotation @ centre + attributes.head_to_camera[:, :3, 3] * flip  # [U, 3]
    to_camera = torch.cat([rotation * half, offset[..., None]], -1)
    if _is_shared(origins):
        head_origins = ((origins[:1] - centre) / half).expand_as(origins)
    else:
        head_origins = (origins - centre) / half
    to_torso = _inverse_torso_motion(attributes.torso_motion) @ to_camera
    return Rays(head_origins, directions / half, frame, to_camera, to_torso)


def _is_shared(vectors: Float[Tensor, "R 3"]) -> bool:
    """Whether all rays have one and the same vector in memory."""
    return len(vectors) > 1 and vectors.stride(0) == 0


def _transform(
    matrices: Float[Tensor, "U 3 3"], frame: Int[Tensor, " R"], vectors: Float[Tensor, "R 3"]
) -> Float[Tensor, "R 3"]:
    if len(matrices) == 1:  # an image: one product instead of one for each ray
        return vectors @ matrices[0].T
    return torch.einsum("rij,rj->ri", matrices[frame], vectors)


def _inverse_torso_motion(motion: Float[Tensor, "U 4"]) -> Float[Tensor, "U 3 3"]:
    """The inverse of the torso's image-plane similarity as a linear map of (u depth, v depth, depth)."""
    shift, (log_scale, angle) = motion[:, :2], motion[:, 2:].unbind(-1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    linear = torch.stack([cos, sin, -sin, cos], -1).unflatten(-1, (2, 2)) * torch.exp(-log_scale)[:, None, None]
    offset = -(linear * shift[:, None]).sum(-1, keepdim=True)  # [U, 2, 1]
    depth = motion.new_tensor([[0.0, 0.0, 1.0]]).expand(len(motion), 1, 3)
    return torch.cat([torch.cat([linear, offset], -1), depth], dim=1)
