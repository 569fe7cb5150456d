"""Images by one sample a pixel against marching: a ball with an analytic surface, and a trained person."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.coordinate_frames import Rays
from dfa_nerfstudio.nerf.marching import RenderOutput, march
from dfa_nerfstudio.nerf.marching.depth_guided import CLEAR, OPAQUE, one_sample, render_depth_guided

RADIUS = 0.6


def _image_rays(height: int, width: int) -> Rays:
    """Parallel rays along z through the pixels of an image of the square [-1, 1]^2."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = (2 * (columns + 0.5) / width - 1).flatten(), (1 - 2 * (rows + 0.5) / height).flatten()
    origins = torch.stack([x, y, torch.full_like(x, 2.0)], -1)
    directions = torch.tensor([0.0, 0.0, -1.0]).expand(len(x), 3)
    same = torch.eye(3, 4)[None]
    return Rays(origins, directions, torch.zeros(len(x), dtype=torch.long), same, same)


def _ball(rays: Rays, ray: torch.Tensor, distance: torch.Tensor) -> FieldOutput:
    """A ball with a closed surface and a fine texture in x and y."""
    points = rays.in_head_space(ray, distance)
    density = 240.0 * (points.norm(dim=-1) < RADIUS).float()
    texture = 0.5 + 0.5 * torch.sin(40 * points[:, :2])
    return FieldOutput(density, torch.cat([texture, 0.7 * points[:, 2:] + 0.5], -1), torch.ones(len(ray), 2))


def _march(rays: Rays) -> RenderOutput:
    return march(
        rays.head_origins,
        rays.head_directions,
        160,
        None,
        lambda ray, distance: _ball(rays, ray, distance),
        training=False,
        backend="torch",
    )


@pytest.mark.parametrize("size", [(64, 64), (45, 67), (3, 2)])
def test_a_ball_is_rendered_as_by_marching(size: tuple[int, int]) -> None:
    rays = _image_rays(*size)
    expected, image = _march(rays), render_depth_guided(rays, size, 4, 0.05, _march, partial(one_sample, field=_ball))
    if min(size) > 4:
        assert image.num_samples < 0.4 * expected.num_samples
    x, y = rays.head_origins[:, :2].T
    inside = (x.square() + y.square()).sqrt() < RADIUS - 8 / min(size) - 0.05
    outside = (x.square() + y.square()).sqrt() > RADIUS + 8 / min(size) + 0.05
    torch.testing.assert_close(image.rgb[inside][:, :2], expected.rgb[inside][:, :2], atol=0.01, rtol=0)
    torch.testing.assert_close(image.rgb[inside], expected.rgb[inside], atol=0.05, rtol=0)
    torch.testing.assert_close(image.depth[inside], expected.depth[inside], atol=0.05, rtol=0)
    assert not image.accumulation[outside].any()
    # every pixel whose enlarged opacity is that of an outline is marched
    same = (image.rgb == expected.rgb).all(-1)
    between = (image.accumulation > CLEAR) & (image.accumulation < OPAQUE)
    assert (same | ~between).all()
