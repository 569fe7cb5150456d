"""Renders an image with one sample for most pixels: at the depth that a small image of the same view has there."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.coordinate_frames import Rays
from dfa_nerfstudio.nerf.marching.ray_marching import RenderOutput

Field = Callable[[Rays, Int[Tensor, " S"], Float[Tensor, " S"]], FieldOutput]
"""The field at S samples, as a function of rays, the samples' ray indices and their distances."""
OneSample = Callable[[Rays, Int[Tensor, " S"], Float[Tensor, " S"], Float[Tensor, " S"]], Float[Tensor, "S 7"]]
"""Composites a sample on each of S rays, as a function of rays, ray indices, opacities and distances."""
CLEAR, OPAQUE = 0.05, 0.95
"""Opacity below which a pixel shows nothing of the person, and above which its surface is closed."""


def render_depth_guided(
    rays: Rays,
    size: tuple[int, int],
    factor: int,
    tolerance: float,
    march: Callable[[Rays], RenderOutput],
    one_sample: OneSample,
) -> RenderOutput:
    """Renders the rays of an image.

    The surface of a person is smooth, but its texture is not. So an image of a fraction of the size is marched first,
    and its depth and opacity are enlarged. Where the surface is closed, the colour is the field's at that depth, which
    is a single query. In the small image, what is missing from its own colours by one sample, at the depth that its
    neighbours have on average, is known: it is enlarged and added too. Where it differs from that of the neighbours
    (glasses, lids, lips), one sample is not enough. Such pixels, and those at outlines, are marched at full size.

    Args:
        rays: rays of an image, row by row.
        size: its height and width in pixels.
        factor: side of the squares of pixels that one pixel of the small image covers.
        tolerance: error of a colour, 0 to 1, up to which one sample is enough.
        march: renders rays by marching.
        one_sample: composites one sample on each of several rays.
    """
    height, width = size
    small_rays = rays.averaged(size, factor)
    small = march(small_rays)
    small_size = (-(-height // factor), -(-width // factor))

    def around(values: Float[Tensor, "r C"]) -> Float[Tensor, "r C"]:
        image = values.T.unflatten(1, small_size)
        return F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False).flatten(1).T

    mean_opacity, mean_depth = around(torch.stack([small.accumulation, small.depth], -1)).unbind(-1)
    rows = torch.nonzero(small.accumulation > CLEAR)[:, 0]
    mean_distance = mean_depth[rows] / mean_opacity[rows].clamp(min=CLEAR)
    single = one_sample(small_rays, rows, small.accumulation[rows], mean_distance)
    missing = torch.zeros_like(small.rgb)
    missing[rows] = small.rgb[rows] - single[:, :3]
    error = (missing - around(missing)).abs().amax(-1)

    images = torch.cat([small.accumulation[:, None], small.depth[:, None], error[:, None], missing], -1)
    images = images.T.unflatten(1, small_size)[None]
    enlarged = F.interpolate(images, scale_factor=factor, mode="bilinear")[0, :, :height, :width].flatten(1)
    opacity, depth, error = enlarged[:3]
    distance = depth / opacity.clamp(min=CLEAR)
    is_single = (opacity >= OPAQUE) & (error <= tolerance)
    surface, other = (torch.nonzero(chosen)[:, 0] for chosen in (is_single, ~is_single & (opacity > CLEAR)))
    marched = march(rays[other])
    total = opacity.new_zeros(len(opacity), 7)  # rgb, accumulation, depth, gates
    shaded = one_sample(rays, surface, opacity[surface], distance[surface])
    shaded[:, :3] = (shaded[:, :3] + enlarged[3:, surface].T).clamp(0, 1)
    total[surface] = shaded
    total[other] = torch.cat([marched.rgb, marched.accumulation[:, None], marched.depth[:, None], marched.gates], -1)
    num_samples = small.num_samples + len(rows) + len(surface) + marched.num_samples
    return RenderOutput(total[:, :3], total[:, 3], total[:, 4], total[:, 5:], num_samples)


def one_sample(
    rays: Rays, ray: Int[Tensor, " S"], opacity: Float[Tensor, " S"], distance: Float[Tensor, " S"], field: Field
) -> Float[Tensor, "S 7"]:
    """Composites a single sample on each of S rays: colour, accumulation, depth and gates, as in `RenderOutput`.

    Args:
        rays: rays.
        ray: index of each sample's ray; each occurs once.
        opacity: opacity of the sample.
        distance: distance of the sample along its ray.
        field: the field.
    """
    output, weight = field(rays, ray, distance), opacity[:, None]
    return weight * torch.cat([output.rgb, torch.ones_like(weight), distance[:, None], output.gates], -1)
