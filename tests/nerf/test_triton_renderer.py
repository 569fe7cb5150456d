"""The fused rendering kernel against marching by the reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.conditioned_field import ConditionedField, ConditionedFieldConfig
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds
from dfa_nerfstudio.nerf.encodings import GridConfig
from dfa_nerfstudio.nerf.kernels.kernel_check import KernelCheck
from dfa_nerfstudio.nerf.marching import OccupancyGrid, march
from dfa_nerfstudio.talk.frame_renderer import source_cameras
from tests.nerf.test_model import _trainer
from tests.pipeline_fixture import run_in_triton_interpreter

VARIANTS = {
    "full field": {},
    "head space only": {"spaces": "head"},
    "torso space only": {"spaces": "torso", "gates": "learned"},
    "no gates": {"gates": "none"},
}
SCENE = SceneBounds(torch.tensor([[-1.0] * 3, [1.0] * 3]), torch.tensor([0.3, 0.25]), 2.0, 4.5)
NUMBA_VARIANTS = VARIANTS | {"eight features": {"features": 8}}
"""Numba's functions read four features of two neighbours at once, or more features in pieces."""
DENSE = 22
"""Resolution of a `scattered_field` whose planes have a row for every vertex."""


def scattered_field(features: int = 4, width: int = 16, resolution: int = 30, **options: str | int) -> ConditionedField:
    """A field with random weights that is dense enough to stop rays."""
    torch.manual_seed(0)
    grid = GridConfig(
        num_levels=3,
        min_resolution=8,
        max_resolution=resolution,
        features_per_level=features,
        log2_hashmap_size=9,
        backend="torch",
    )
    regions = torch.tensor([[[0.0, -0.3, 0.5], [0.5, 0.4, 0.6]], [[-0.3, 0.3, 0.5], [0.2] * 3], [[0.3] * 3, [0.2] * 3]])
    field = ConditionedField(ConditionedFieldConfig(grid=grid, width=width, **options), 5, 3, regions)
    with torch.no_grad():
        field.grid.table.mul_(10)
        field.first.weight[-2:].normal_(std=0.3)
        field.density_head.weight.mul_(6)
        if field.warp is not None:
            field.warp.fields.normal_(std=10)
    return field


def scattered_rays(count: int) -> Rays:
    """Rays that start in front of the cube; some miss it."""
    generator = torch.Generator().manual_seed(1)
    origins = torch.randn(count, 3, generator=generator) * 0.2 + torch.tensor([0.0, 0.0, 3.0])
    directions = torch.randn(count, 3, generator=generator) * 0.3 - torch.tensor([0.0, 0.0, 1.0])
    to_camera = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 3.2]]])
    return Rays(origins, directions, torch.zeros(count, dtype=torch.long), to_camera, to_camera)


def random_conditions() -> Conditions:
    generator = torch.Generator().manual_seed(2)
    return Conditions(*(torch.randn(1, size, generator=generator) for size in (5, 3, 12, 4)))


def half_empty(resolution: int = 15) -> OccupancyGrid:
    occupancy = OccupancyGrid(resolution, threshold=0.01, decay=0.9)
    occupancy.occupied.copy_(torch.rand(resolution**3, generator=torch.Generator().manual_seed(3)) < 0.5)
    return occupancy


@torch.no_grad()
def compare(device: str, *, rays: int, samples: int, occupied: bool, **options: str | int) -> None:
    """Compares the kernel's outputs with those of `march`, to within half precision."""
    from dfa_nerfstudio.nerf.kernels import triton_renderer as fused

    field, occupancy = scattered_field(**options).to(device), half_empty().to(device) if occupied else None
    cast, conditions = scattered_rays(rays), random_conditions()
    for part in (cast, conditions):
        for name, values in vars(part).items():
            setattr(part, name, values.to(device))
    scene = SceneBounds(SCENE.box.to(device), SCENE.half_extent.to(device), SCENE.near, SCENE.far)

    def query(ray: torch.Tensor, distance: torch.Tensor):
        points = cast.in_head_space(ray, distance), cast.in_torso_space(ray, distance, scene)
        return field(*points, cast.frame[ray], conditions)

    fused.render(field, scene, conditions, samples, occupancy, cast)
    field.second.weight.data.mul_(
        1.5
    )  # in place, as a fused optimiser does, which does not increase the version counter
    head_rays = cast.head_origins, cast.head_directions
    marched = march(*head_rays, samples, occupancy, query, training=False, slabs=samples, backend="torch")
    rendered = fused.render(field, scene, conditions, samples, occupancy, cast)
    assert marched.accumulation.std() > 0.05 and marched.gates.std() > 0.01
    for name in ("rgb", "accumulation", "depth", "gates"):
        torch.testing.assert_close(getattr(rendered, name), getattr(marched, name), atol=0.01, rtol=0.01)
    assert float(rendered.num_samples) == pytest.approx(marched.num_samples, rel=0.02)


@torch.no_grad()
def compare_images(config: str) -> None:
    """Compares a trained model's images by the kernel and by marching."""
    from dfa_nerfstudio.nerf.kernels import triton_renderer as fused
    from dfa_nerfstudio.talk.load_model import load_model

    model = load_model(Path(config)).eval()
    model.config.render_fraction = 1
    camera = source_cameras(model, model.clip.track[:1], scale=0.5)  # the interpreter takes 30 s for 40x40 pixels
    model.config.fused_rendering = False
    marched = model.get_outputs_for_camera(camera)
    model.config.fused_rendering = True
    fused.unavailable_reason = lambda field, device: None
    rendered = model.get_outputs_for_camera(camera)
    assert {name: values.shape for name, values in rendered.items()} == {name: v.shape for name, v in marched.items()}
    assert psnr(rendered["rgb"], marched["rgb"]) > 45
    torch.testing.assert_close(rendered["depth"], marched["depth"], atol=0.05, rtol=0.02)
    assert model.renderer.kernel_check.failure is None

    def swapped(field: ConditionedField) -> tuple[torch.Tensor, ...]:
        first, gates, second, colour, biases = weights(field)
        return first, gates, colour, second, biases

    weights = fused._weights
    for broken, message in (
        (swapped, "colours differ"),
        (None, "does not run here: 'NoneType' object is not callable"),
    ):
        fused._weights, model.renderer.kernel_check = broken, KernelCheck()
        torch.testing.assert_close(model.get_outputs_for_camera(camera)["rgb"], marched["rgb"])
        assert message in model.renderer.kernel_check.failure


@pytest.mark.slow
def test_a_trained_models_images_equal_those_of_marching(ball_person: Path, tmp_path: Path):
    pytest.importorskip("triton")
    trainer = _trainer("dfa-nerf-lite", ball_person, tmp_path, steps=100, rays=256)
    trainer.train()
    config = str(next(tmp_path.rglob("config.yml")))
    run_in_triton_interpreter(f"from tests.nerf.test_triton_renderer import compare_images; compare_images({config!r})")


@pytest.mark.parametrize("variant", VARIANTS)
def test_kernel_outputs_equal_those_of_marching(variant: str):
    pytest.importorskip("triton")
    options = {"rays": 70, "samples": 6, "occupied": variant != "no gates", **VARIANTS[variant]}
    run_in_triton_interpreter(f"from tests.nerf.test_triton_renderer import compare; compare('cpu', **{options!r})")


def test_the_kernel_compiles_for_other_gpus():
    """Compiles to machine code at the sizes of both methods, for compute capabilities 7.5 (2018) to 12.0 (2025)."""
    compiler = pytest.importorskip("triton.compiler")
    from triton.backends.compiler import GPUTarget

    from dfa_nerfstudio.nerf.kernels.triton_kernel import render_rays

    halves, integers = {"first", "second", "colour"}, {"count", "levels", "entries_of_grid"}
    for capability, width, cells in ((75, 64, 32), (80, 128, 64), (90, 128, 64), (120, 128, 64)):
        constants = {"SAMPLES": 8, "CELLS": cells, "PLANES": 6, "GRIDS": 8, "FEATURES": 4, "WIDTH": width, "BLOCK": 64}
        constants |= {"GATED": True, "GATE_PRIOR": True, "WARP": 16, "TORSO_ONLY": False}
        types = {
            name: "*fp16"
            if name in halves
            else "i32"
            if name in integers
            else "fp32"
            if name in ("margin", "stop_below")
            else {"numbers": "*i32", "occupied": "*u8"}.get(name, "*fp32")
            for name in render_rays.arg_names
        }
        source = compiler.ASTSource(render_rays, types | dict.fromkeys(constants, "constexpr"), constants)
        assert compiler.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
