"""Rays of a film camera, in a tenth of the operations that a camera of any kind needs."""

from __future__ import annotations

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor


def pinhole_rays(cameras: Cameras, pixels: Int[Tensor, "*batch 3"]) -> RayBundle:
    """The rays through pixels' centres; nerfstudio's `Cameras.generate_rays`, without the pixels' areas.

    On a GPU a training step is as long as the list of its operations, and of those nerfstudio's rays were a seventh.

    Args:
        cameras: N of them, perspective and without distortion.
        pixels: camera, row and column of each.

    Returns:
        rays in head space with directions of unit length, times and camera indices; in single precision, although a
        camera path's focal lengths and times are in double.
    """
    camera, row, column = pixels.unbind(-1)
    to_world = cameras.camera_to_worlds[camera].float()
    x = (column + 0.5 - cameras.cx[camera, 0]) / cameras.fx[camera, 0]
    y = (cameras.cy[camera, 0] - row - 0.5) / cameras.fy[camera, 0]
    towards = torch.stack([x, y, -torch.ones_like(x)], dim=-1).float()  # OpenGL looks along -z
    directions = torch.nn.functional.normalize((to_world[..., :3] * towards[..., None, :]).sum(-1), dim=-1)
    return RayBundle(
        origins=to_world[..., 3],
        directions=directions,
        pixel_area=torch.ones_like(towards[..., :1]),
        camera_indices=camera[..., None],
        times=None if cameras.times is None else cameras.times[camera].float(),
    )


def image_rays(camera: Cameras) -> RayBundle:
    """The rays of all pixels of a single camera, [height, width]; nerfstudio's own where it is no pinhole."""
    perspective = (camera.camera_type == CameraType.PERSPECTIVE.value).all()
    if camera.distortion_params is not None or not perspective:
        return camera.generate_rays(camera_indices=0, keep_shape=True)
    device = camera.camera_to_worlds.device
    row, column = torch.meshgrid(
        torch.arange(int(camera.height.flatten()[0]), device=device),
        torch.arange(int(camera.width.flatten()[0]), device=device),
        indexing="ij",
    )
    return pinhole_rays(camera.reshape((1,)), torch.stack([torch.zeros_like(row), row, column], dim=-1))
