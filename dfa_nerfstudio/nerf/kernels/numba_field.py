"""The conditioned field in training on a CPU: one function with a gradient, compiled by numba."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.errors import brief
from dfa_nerfstudio.nerf.conditioned_field import (
    GATE_CUTOFF_RADII,
    GATE_LOGIT_LIMIT,
    GATE_SLOPE,
    ConditionedField,
    FieldOutput,
)
from dfa_nerfstudio.nerf.kernels import VECTOR
from dfa_nerfstudio.nerf.kernels.numba_threads import array, in_threads

CHECKED_SAMPLES, MAX_ERROR = 512, 0.01
"""Samples that are evaluated both ways before training, and the largest norm of a difference relative to that of the
values. Rounding gives 1e-6; now and then a unit that is 0 to rounding is open in one of them, which gives 0.003."""

Additions = tuple[Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"]]
"""What `ConditionedField.encode_conditions` returns."""


def unavailable_reason(field: nn.Module) -> str | None:
    """Why the compiled functions cannot evaluate this field; None if they can."""
    if not isinstance(field, ConditionedField) or field.grid.config.kind != "planes":
        return "compiled functions need a conditioned field on planes"
    if field.grid.table.dtype != torch.float32:
        return "compiled functions need single precision"
    layout = field.grid.layout
    if layout.features_per_level % VECTOR:
        return f"compiled functions need a multiple of {VECTOR} features per level"
    if not all(level.dense for level in layout.levels):
        return "compiled functions need planes without a spatial hash"
    return None


def constants(field: ConditionedField, spaces: tuple[int, ...]) -> Any:
    """What neither training nor a frame changes, as the compiled functions read it.

    Args:
        field: the field.
        spaces: places of its coordinate frames in the positions, of which three axes each lie side by side.
    """
    config, grid, levels = field.config, field.grid, field.grid.layout.levels
    has_prior = config.gates == "landmarks"
    moved = field.regions[:0] if field.warp is None else field.warp.region[None]
    return _parts().Constants(
        levels=np.array([(level.offset, level.resolution) for level in levels]),
        scales=np.array([level.scale for level in levels], np.float32),
        axes=np.array([[3 * space + axis for axis in pair] for space in spaces for pair in grid.axes]),
        margin=np.float32(grid.margin),
        regions=array(field.regions),
        moved_region=array(moved),
        gated=config.gates != "none",
        gate_slope=np.float32(GATE_SLOPE if has_prior else 0),
        gate_limit=np.float32(GATE_LOGIT_LIMIT),
        gate_cutoff=np.float32(GATE_CUTOFF_RADII if has_prior else np.inf),
    )


def layer_weights(field: ConditionedField) -> dict[str, Tensor]:
    """Weights of the layers, as `numba_kernel.FieldArrays` and `numba_training_kernel.Weights` name them."""
    width = field.config.width
    return {
        "table": field.grid.table,
        "first": field.first.weight[:width].t(),
        "gates": field.first.weight[width:],
        "second": field.second.weight.t(),
        "colour": field.colour.weight.t(),
        "heads": torch.cat([field.density_head.weight, field.colour_head.weight]),
        "biases": torch.cat([field.first.bias[width:], field.density_head.bias, field.colour_head.bias]),
    }


def query(
    field: ConditionedField,
    points: list[Float[Tensor, "S 3"]],
    head_points: Float[Tensor, "S 3"],
    frame: Int[Tensor, " S"],
    additions: Additions,
) -> FieldOutput:
    """Evaluates a field for which `unavailable_reason` is None, with gradients.

    Args:
        field: the field.
        points: positions in each of its coordinate frames, after the deformation.
        head_points: positions in head space before it.
        frame: row of the conditions of each sample.
        additions: encoded conditions of U frames.
    """
    mouth, eye, pose, colour = additions
    weights = _kernel().Weights(
        **layer_weights(field),
        to_first=field.first.bias[: field.config.width] + pose,
        to_second=field.second.bias[None],
        to_colour=field.colour.bias + colour,
        mouth=mouth,
        eye=eye,
    )
    fixed = constants(field, tuple(range(len(points))))
    return FieldOutput(*CompiledField.apply(fixed, head_points, frame, torch.cat(points, -1), *weights))


def failure(field: ConditionedField) -> str | None:
    """Why the compiled functions must not train this field; None if they can and agree with torch."""
    if (reason := unavailable_reason(field)) is not None:
        return reason
    generator = torch.Generator().manual_seed(0)
    spaces = 2 if field.config.spaces == "both" else 1
    points = torch.rand(spaces, CHECKED_SAMPLES, 3, generator=generator) * 2 - 1
    frame = torch.randint(2, (CHECKED_SAMPLES,), generator=generator)
    additions = torch.randn(4, 2, field.config.width, generator=generator)
    factors = torch.randn(6, CHECKED_SAMPLES, generator=generator)
    parameters = list(field.parameters())

    def results(compiled: bool) -> list[Tensor]:
        encoded = additions.clone().requires_grad_()
        with torch.enable_grad():
            if compiled:
                mouth, eye, pose, colour = encoded
                output = query(field, list(points), points[0], frame, (mouth, eye, pose, colour))
            else:
                output = field.query(points, points[0], frame, *encoded)
            values = torch.cat([output.density[:, None].clamp(max=10), output.rgb, output.gates], -1)
            total = (values.T * factors).sum()
            gradients = torch.autograd.grad(total, [encoded, *parameters], allow_unused=True)
        return [values.detach(), *(one for one in gradients if one is not None)]

    try:
        found, expected = results(compiled=True), results(compiled=False)
    except Exception as error:  # of numba or its compiler
        return f"compiled functions do not run here: {brief(error)}"
    for ours, theirs in zip(found, expected, strict=True):
        error = float((ours - theirs).norm()) / max(float(theirs.norm()), 1e-6)
        if not error <= MAX_ERROR:
            return f"compiled functions differ from torch by {error:.2g}"
    return None


class CompiledField(torch.autograd.Function):
    """Density, colour and gates of samples, and their gradient with respect to all weights and positions.

    Tiles of samples are computed from the features to the colour and back in the core's cache. The samples are divided
    among as many threads as torch uses.
    """

    @staticmethod
    def forward(
        ctx: Any,
        constants: Any,
        head_points: Float[Tensor, "S 3"],
        frame: Int[Tensor, " S"],
        points: Float[Tensor, "S 3*spaces"],
        *weights: Tensor,
    ) -> tuple[Float[Tensor, " S"], Float[Tensor, "S 3"], Float[Tensor, "S 2"]]:
        """Evaluates the field.

        Args:
            ctx: torch's.
            constants: what training does not change.
            head_points: positions in head space before the deformation.
            frame: row of the conditions of each sample.
            points: positions in all coordinate frames, side by side, after the deformation.
            weights: in the order of `numba_training_kernel.Weights`.
        """
        kernel = _kernel()
        arrays = kernel.Weights(*map(array, weights))
        count, (num_features, width) = len(frame), arrays.first.shape
        sizes = (num_features,), (width,), (width,), (width,), (2,), (), (3,)
        layers = [torch.empty(count, *size) for size in sizes]
        samples = array(points), array(head_points), array(frame)

        def work(part: slice) -> None:
            kernel.forward(_part(kernel, samples, part), arrays, constants, kernel.Layers(*(_rows(layers, part))))

        in_threads(work, count)
        ctx.constants, ctx.samples, ctx.layers = constants, samples, layers
        ctx.save_for_backward(*weights)
        return torch.exp(layers[5]), layers[6].clone(), layers[4].clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of points and weights, for those of density, colour and gates."""
        kernel, samples, layers = _kernel(), ctx.samples, ctx.layers
        weights = kernel.Weights(*map(array, ctx.saved_tensors))
        transposed = tuple(np.ascontiguousarray(values.T) for values in (weights.first, weights.second, weights.colour))
        by_points = torch.zeros(samples[0].shape)
        slopes = by_points.numpy()

        def work(part: slice) -> list[Tensor]:
            gradient = [torch.zeros(values.shape) for values in ctx.saved_tensors]
            kernel.backward(
                _part(kernel, samples, part),
                weights,
                transposed,
                ctx.constants,
                kernel.Layers(*_rows(layers, part)),
                *_rows(outputs, part),
                kernel.Weights(*map(array, gradient)),
                slopes[part],
            )
            return gradient

        parts = in_threads(work, len(samples[2]))
        gradients = parts[0]
        for others in parts[1:]:
            for total, other in zip(gradients, others, strict=True):
                total += other
        return None, None, None, by_points, *gradients


@cache
def _parts() -> ModuleType:
    return import_module("dfa_nerfstudio.nerf.kernels.numba_parts")


@cache
def _kernel() -> ModuleType:
    return import_module("dfa_nerfstudio.nerf.kernels.numba_training_kernel")


def _part(kernel: ModuleType, samples: tuple[np.ndarray, np.ndarray, np.ndarray], part: slice) -> Any:
    points, head_points, frame = samples
    return kernel.Samples(points[part], head_points[part], frame[part])


def _rows(tensors: Any, part: slice) -> list[np.ndarray]:
    return [array(values[part]) for values in tensors]
