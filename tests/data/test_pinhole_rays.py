"""Rays of pinhole cameras against nerfstudio's."""

from __future__ import annotations

import torch
from nerfstudio.cameras.cameras import Cameras, CameraType

from dfa_nerfstudio.data.pinhole_rays import image_rays, pinhole_rays


def _cameras(**options: torch.Tensor | CameraType) -> Cameras:
    generator = torch.Generator().manual_seed(0)
    turned = torch.linalg.qr(torch.randn(3, 3, 3, generator=generator))[0]
    pose = torch.cat([turned, torch.randn(3, 3, 1, generator=generator)], dim=-1)
    focal = torch.tensor([[30.0], [40.0], [50.0]])
    size = {"width": 12, "height": 7, "times": torch.tensor([[0.0], [0.4], [1.0]])}
    return Cameras(pose, focal, focal * 1.1, 5.5, 3.75, **{**size, **options})


def test_rays_equal_nerfstudios():
    cameras = _cameras()
    pixels = torch.tensor([[0, 0, 0], [1, 6, 11], [2, 3, 4], [1, 2, 9]])
    ours = pinhole_rays(cameras, pixels)
    theirs = cameras.generate_rays(pixels[:, :1], coords=pixels[:, 1:] + 0.5)
    for name in ("origins", "directions", "times", "camera_indices"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    rays, theirs = image_rays(cameras[1:2]), cameras[1:2].generate_rays(0, keep_shape=True)
    assert rays.shape == theirs.shape == (7, 12)
    torch.testing.assert_close(rays.directions, theirs.directions)
    torch.testing.assert_close(rays.times, theirs.times)
    double = _cameras(times=torch.tensor([[0.0], [0.4], [1.0]]).double())
    double.fx, double.fy = double.fx.double(), double.fy.double()  # as in nerfstudio's camera paths
    single = image_rays(double[1:2])
    assert {single.origins.dtype, single.directions.dtype, single.times.dtype} == {torch.float32}
    torch.testing.assert_close(single.directions, rays.directions)


def test_rays_of_other_cameras_are_computed_by_nerfstudio():
    for options in ({"camera_type": CameraType.FISHEYE}, {"distortion_params": torch.full((3, 6), 0.1)}):
        camera = _cameras(**options)[1:2]
        theirs, plain = camera.generate_rays(0, keep_shape=True), image_rays(_cameras()[1:2])
        torch.testing.assert_close(image_rays(camera).directions, theirs.directions)
        assert (theirs.directions - plain.directions).abs().max() > 1e-3
