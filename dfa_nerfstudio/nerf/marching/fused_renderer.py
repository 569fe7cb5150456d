"""Rendering in one Triton kernel: marching, the field and compositing, for pictures of one moment on a GPU.

`march` asks the field for a list of samples, which costs some hundred operations a picture, each of which writes and
reads millions of numbers. Here a block of neighbouring rays goes from front to back with everything in registers, skips
what is empty for all of them, and stops when all of them are opaque.
"""

from __future__ import annotations

from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditioned_field import ConditionedField
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, Scene
from dfa_nerfstudio.nerf.encodings.grid_backends import why_no_triton
from dfa_nerfstudio.nerf.log_once import say_once
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid
from dfa_nerfstudio.nerf.marching.ray_marching import Marched, cube_interval

_BLOCK, _WARPS = 64, 4
"""Rays of a program, and the warps that share them."""
_LEAST = 16
"""Sides of the matrices that tensor cores multiply."""


def why_not_fused(field: nn.Module, device: torch.device) -> str | None:
    """Why this field is not rendered by the kernel; None if it is."""
    if device.type != "cuda":
        return "no CUDA device"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "its matrices are for GPUs since 2020"
    if (why := why_no_triton()) is not None:
        return why
    if not isinstance(field, ConditionedField) or field.grid.config.kind != "planes":
        return "it is for planes"
    sizes = (field.config.width, _padded(field) * field.grid.config.features)
    if any(size & (size - 1) or size < _LEAST for size in sizes):
        return "it is for widths and features that are powers of two"
    return None


def say(why_not: str | None) -> None:
    """Says in one line how pictures are rendered."""
    say_once(f"pictures are rendered by {'marching' if why_not else 'one kernel'} ({why_not or 'Triton is there'})")


def render(
    field: ConditionedField,
    rays: Rays,
    scene: Scene,
    conditions: Conditions,
    num_samples: int,
    occupancy: OccupancyGrid | None,
    stop_below: float = 1e-2,
) -> Marched:
    """As `march` when it is not training, with layers in half precision and sums in whole.

    Args:
        field: one for which `why_not_fused` knows no reason.
        rays: R of them, all of one moment.
        scene: the space that is rendered.
        conditions: of that moment.
        num_samples: strata per ray.
        occupancy: where anything can be; None asks the field everywhere.
        stop_below: transmittance at which a ray counts as opaque.
    """
    kernel = import_module("dfa_nerfstudio.nerf.marching.fused_kernel")
    triton_grid = import_module("dfa_nerfstudio.nerf.encodings.triton_grid")
    near, far = cube_interval(rays.head_origins, rays.head_directions)
    *layers, biases = _weights(field)
    layout, count = field.grid.layout, len(near)
    out = near.new_empty(count, 8)
    space = near.new_tensor([0.0, 0.0, scene.near, scene.far])
    space[:2] = scene.half_extent
    config = field.config
    kernel.render_rays[(-(-count // _BLOCK),)](
        torch.stack([rays.head_origins, rays.head_directions], 1).contiguous(),
        torch.stack([rays.torso_origins, rays.torso_directions], 1).contiguous(),
        torch.stack([near, (far - near) / num_samples], -1),
        (near.new_ones(1, dtype=torch.bool) if occupancy is None else occupancy.occupied).view(torch.uint8),
        space,
        field.grid.table,
        *triton_grid.levels_of(layout, near.device),
        field.regions,
        *layers,
        _moment(field, conditions),
        biases,
        out,
        count,
        layout.levels,
        layout.entries,
        field.grid.rim,
        stop_below,
        SAMPLES=num_samples,
        CELLS=0 if occupancy is None else occupancy.resolution,
        PLANES=len(field.grid.table),
        GRIDS=_padded(field),
        FEATURES=layout.features,
        WIDTH=config.width,
        GATED=config.gates != "none",
        LEANING=config.gates == "landmarks",
        IN_TORSO=config.spaces == "torso",
        BLOCK=_BLOCK,
        num_warps=_WARPS,
    )
    return Marched(out[:, :3], out[:, 3], out[:, 4], out[:, 5:7], out[:, 7].sum())


def _weights(
    field: ConditionedField,
) -> tuple[
    Float[Tensor, "levels inputs W"],
    Float[Tensor, "levels inputs 2"],
    Float[Tensor, "W W"],
    Float[Tensor, "W W"],
    Float[Tensor, "6"],
]:
    """First layer, gates, second and colour layer, and biases of gates and heads, as the kernel reads them.

    Packed for every picture: that weights have changed cannot be seen, for fused optimisers do not count it.
    """
    width, layout = field.config.width, field.grid.layout
    grids, padded = len(field.grid.table), _padded(field)
    first = field.first.weight.t().unflatten(0, (layout.levels, grids, layout.features))  # [levels, grids, F, W + 2]
    first = nn.functional.pad(first, (0, 0, 0, 0, 0, padded - grids)).flatten(1, 2)
    biases = [field.first.bias[width:], field.density_head.bias, field.colour_head.bias]
    return (
        first[..., :width].half().contiguous(),
        first[..., width:].float().contiguous(),
        field.second.weight.t().half().contiguous(),
        field.colour.weight.t().half().contiguous(),
        torch.cat(biases).float(),
    )


def _moment(field: ConditionedField, conditions: Conditions) -> Float[Tensor, "9 W"]:
    """What is added to the three layers, what audio and eyes add, and the heads' weights."""
    audio, eye, shape, colour = field.digest(conditions)
    layers = [field.first.bias[None, : field.config.width] + shape, field.second.bias[None], field.colour.bias + colour]
    return torch.cat([*layers, audio, eye, field.density_head.weight, field.colour_head.weight])


def _padded(field: ConditionedField) -> int:
    """Number of planes, up to a power of two."""
    return 1 << (len(field.grid.table) - 1).bit_length()
