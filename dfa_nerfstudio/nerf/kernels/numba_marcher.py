"""Marching in training on a CPU: one function with a gradient, compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.errors import brief
from dfa_nerfstudio.nerf.conditioned_field import ConditionedField, FieldOutput
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds
from dfa_nerfstudio.nerf.kernels.numba_field import constants, layer_weights, occupied_cells, unavailable_reason, view
from dfa_nerfstudio.nerf.kernels.numba_threads import array, divide, in_threads
from dfa_nerfstudio.nerf.marching import OccupancyGrid, RenderOutput
from dfa_nerfstudio.nerf.marching import march as march_by_torch
from dfa_nerfstudio.nerf.mouth_warp import UNIT

MIN_RAYS = 256
"""Fewest rays for which a thread is worth its start."""
CHECKED_RAYS, MAX_ERROR = 256, 0.01
"""Rays that are rendered both ways before training, and the largest norm of a difference relative to that of the
values. Rounding gives 1e-6; now and then a unit that is 0 to rounding is open in one of them, which gives 0.003."""


def march(
    field: ConditionedField,
    scene: SceneBounds,
    rays: Rays,
    conditions: Conditions,
    num_samples: int,
    occupancy: OccupancyGrid | None,
    stop_below: float = 1e-3,
) -> RenderOutput:
    """Renders rays as `ray_marching.march` does in training, with gradients of all weights and conditions.

    A ray stops at the sample that makes it opaque, which saves a quarter of the samples.

    Args:
        field: a field for which `failure` is None.
        scene: the rendered volume.
        rays: R rays, each of one of U frames.
        conditions: conditions of the U frames.
        num_samples: number of strata per ray.
        occupancy: cells that may contain the person; None queries the field everywhere.
        stop_below: transmittance below which a ray counts as opaque.
    """
    kernel = _kernel()
    shared = kernel.Scene(view(scene), array(rays.to_torso), *occupied_cells(occupancy))
    offsets = torch.rand(len(rays.frame), num_samples)
    ray_arrays = tuple(map(array, (rays.head_origins, rays.head_directions, rays.frame, offsets)))
    marched: list[Part] = []
    weights = _weights(field, conditions)
    values: Tensor = CompiledMarch.apply(
        shared, ray_arrays, constants(field), np.float32(stop_below), marched, *weights
    )
    for part in marched:
        if occupancy is not None:
            occupancy.observe(torch.from_numpy(part.samples.cell), torch.from_numpy(part.samples.weight))
    num_queries = sum(len(part.samples.ray) for part in marched)
    return RenderOutput(values[:, :3], values[:, 3], values[:, 4], values[:, 5:], num_queries)


def failure(field: nn.Module) -> str | None:
    """Why the compiled functions must not train this field; None if they can and agree with torch."""
    if (reason := unavailable_reason(field)) is not None:
        return reason
    assert isinstance(field, ConditionedField)
    generator = torch.Generator().manual_seed(0)
    scene = SceneBounds(torch.tensor([[-1.0] * 3, [1.0] * 3]), torch.tensor([0.3, 0.3]), 2.0, 4.5)
    origins, directions = torch.randn(2, CHECKED_RAYS, 3, generator=generator) * 0.1
    forward, flip = torch.tensor([0.0, 0.0, 3.0]), torch.tensor([1.0, 1.0, -1.0])
    to_torso = torch.cat([torch.diag(flip), forward[:, None]], -1).expand(2, 3, 4)
    frame = torch.randint(2, (CHECKED_RAYS,), generator=generator)
    rays = Rays(origins + forward, directions - forward / 3, frame, to_torso, to_torso)
    sizes = (cast(nn.Linear, net[0]).in_features for net in (field.mouth_net, field.eye_net))
    mouth, eye = (torch.randn(2, size, generator=generator) for size in sizes)
    conditions = Conditions(mouth, eye, *(torch.randn(2, size, generator=generator) for size in (12, 4)))
    factors = torch.randn(CHECKED_RAYS, 7, generator=generator)

    def query(ray: Int[Tensor, " S"], distance: Float[Tensor, " S"]) -> FieldOutput:
        points = rays.in_head_space(ray, distance), rays.in_torso_space(ray, distance, scene)
        return field(*points, frame[ray], conditions)

    def results(render: Callable[[], RenderOutput]) -> list[Tensor]:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            output = render()
            values = torch.cat([output.rgb, output.accumulation[:, None], output.depth[:, None], output.gates], -1)
            gradients = torch.autograd.grad((values * factors).sum(), list(field.parameters()), allow_unused=True)
        return [values.detach(), *(one for one in gradients if one is not None)]

    def by_torch() -> RenderOutput:
        rows = rays.head_origins, rays.head_directions
        return march_by_torch(*rows, 8, None, query, training=True, backend="torch")

    try:
        found = results(lambda: march(field, scene, rays, conditions, 8, None, stop_below=0.0))
        expected = results(by_torch)
    except Exception as error:  # of numba or its compiler
        return f"compiled functions do not run here: {brief(error)}"
    for ours, theirs in zip(found, expected, strict=True):
        error = float((ours - theirs).norm()) / max(float(theirs.norm()), 1e-6)
        if not error <= MAX_ERROR:
            return f"compiled functions differ from torch by {error:.2g}"
    return None


class Part(NamedTuple):
    """Rays that one thread has marched, and what their gradient needs."""

    rows: slice
    points: Any
    """`numba_training_kernel.Points`."""
    layers: Any
    """`numba_training_kernel.Layers`."""
    samples: Any
    """`numba_marching_kernel.Samples`."""


class CompiledMarch(torch.autograd.Function):
    """Colour, accumulation, depth and gates of rays, and their gradient with respect to all weights.

    Tiles of samples are computed from the features to the colour and back in the core's cache. The rays are divided
    among the threads.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scene: Any,
        rays: tuple[np.ndarray, ...],
        constants: Any,
        stop_below: np.float32,
        marched: list[Part],
        *weights: Tensor,
    ) -> Float[Tensor, "R 7"]:
        """Renders the rays.

        Args:
            ctx: torch's.
            scene: what all rays share.
            rays: the fields of `numba_marching_kernel.TrainingRays`.
            constants: what training does not change.
            stop_below: transmittance below which a ray counts as opaque.
            marched: receives the parts.
            weights: in the order of `numba_training_kernel.Weights`.
        """
        kernel, out = _kernel(), torch.zeros(len(rays[0]), 7)
        arrays, values = _weights_class()(*map(array, weights)), out.numpy()

        def work(rows: slice) -> Part:
            of_part = kernel.TrainingRays(*(one[rows] for one in rays))
            *kept, count = kernel.march(of_part, scene, arrays, constants, stop_below, values[rows])
            return Part(rows, *(type(arrays)(*(one[:count] for one in arrays)) for arrays in kept))

        marched += in_threads(work, divide(len(values), MIN_RAYS))
        ctx.constants, ctx.marched = constants, marched
        ctx.save_for_backward(*weights)
        return out

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the weights, for those of what `forward` returned."""
        kernel, by_out = _kernel(), array(outputs[0])
        weights = _weights_class()(*map(array, ctx.saved_tensors))
        transposed = tuple(np.ascontiguousarray(values.T) for values in (weights.first, weights.second, weights.colour))

        def work(part: Part) -> list[Tensor]:
            gradient = [torch.zeros(values.shape) for values in ctx.saved_tensors]
            arrays = _weights_class()(*map(array, gradient))
            kernel.march_backward(*part[1:], weights, transposed, ctx.constants, by_out[part.rows], arrays)
            return gradient

        gradients, *others = in_threads(work, ctx.marched)
        for other in others:
            for total, added in zip(gradients, other, strict=True):
                total += added
        return None, None, None, None, None, *gradients


@cache
def _kernel() -> ModuleType:
    return import_module("dfa_nerfstudio.nerf.kernels.numba_marching_kernel")


@cache
def _weights_class() -> type[Any]:
    return import_module("dfa_nerfstudio.nerf.kernels.numba_training_kernel").Weights


def _weights(field: ConditionedField, conditions: Conditions) -> tuple[Tensor, ...]:
    """The tensors of `numba_training_kernel.Weights`."""
    mouth, eye, pose, colour = field.encode_conditions(conditions)
    warp, code = torch.zeros(0, 0, 3, 1), torch.zeros(len(mouth), 1)
    if field.warp is not None:
        warp, code = UNIT * field.warp.fields.permute(2, 3, 1, 0), field.warp.code(conditions.mouth)
    return _weights_class()(
        **layer_weights(field),
        to_first=field.first.bias[: field.config.width] + pose,
        to_second=field.second.bias[None],
        to_colour=field.colour.bias + colour,
        mouth=mouth,
        eye=eye,
        warp=warp,
        code=code,
    )
