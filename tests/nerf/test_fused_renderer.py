"""The kernel that renders whole pictures, against marching by the reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.conditioned_field import ConditionedField, ConditionedFieldConfig
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, Scene
from dfa_nerfstudio.nerf.encodings import GridConfig
from dfa_nerfstudio.nerf.marching import OccupancyGrid, march
from dfa_nerfstudio.talk.frame_renderer import film_cameras
from tests.nerf.test_model import _trainer
from tests.pipeline_fixture import interpreted

VARIANTS = {
    "as it is": {},
    "head space alone": {"spaces": "head"},
    "torso space alone": {"spaces": "torso", "gates": "learned"},
    "no gates": {"gates": "none"},
}
SCENE = Scene(torch.tensor([[-1.0] * 3, [1.0] * 3]), torch.tensor([0.3, 0.25]), 2.0, 4.5)


def scattered_field(features: int = 4, width: int = 16, **options: str) -> ConditionedField:
    """A field of random weights, dense enough that rays end in it."""
    torch.manual_seed(0)
    grid = GridConfig(levels=3, min_resolution=8, max_resolution=30, features=features, log2_table=9, backend="torch")
    regions = torch.tensor([[[0.0, -0.3, 0.5], [0.5, 0.4, 0.6]], [[-0.3, 0.3, 0.5], [0.2] * 3], [[0.3] * 3, [0.2] * 3]])
    field = ConditionedField(ConditionedFieldConfig(grid=grid, width=width, **options), 5, 3, 2, regions)
    with torch.no_grad():
        field.grid.table.mul_(10)
        field.first.weight[-2:].normal_(std=0.3)
        field.density_head.weight.mul_(6)
    return field


def scattered_rays(count: int) -> Rays:
    """Rays from in front of the cube; some miss it."""
    generator = torch.Generator().manual_seed(1)
    origins = torch.randn(count, 3, generator=generator) * 0.2 + torch.tensor([0.0, 0.0, 3.0])
    directions = torch.randn(count, 3, generator=generator) * 0.3 - torch.tensor([0.0, 0.0, 1.0])
    flip = torch.tensor([1.0, 1.0, -1.0])
    camera = (origins - torch.tensor([0.0, 0.0, 3.2])) * flip, directions * flip
    return Rays(origins, directions, *camera, *camera, torch.zeros(count, dtype=torch.long))


def moment() -> Conditions:
    generator = torch.Generator().manual_seed(2)
    return Conditions(*(torch.randn(1, size, generator=generator) for size in (5, 3, 12, 4, 2)))


def half_empty(resolution: int = 15) -> OccupancyGrid:
    occupancy = OccupancyGrid(resolution, threshold=0.01, decay=0.9)
    occupancy.occupied.copy_(torch.rand(resolution**3, generator=torch.Generator().manual_seed(3)) < 0.5)
    return occupancy


@torch.no_grad()
def compare(device: str, *, rays: int, samples: int, occupied: bool, **options: str | int) -> None:
    """The kernel's pictures beside those of `march`, to within half precision."""
    from dfa_nerfstudio.nerf.marching import fused_renderer as fused

    field, occupancy = scattered_field(**options).to(device), half_empty().to(device) if occupied else None
    cast, conditions = scattered_rays(rays), moment()
    for part in (cast, conditions):
        for name, values in vars(part).items():
            setattr(part, name, values.to(device))
    scene = Scene(SCENE.box.to(device), SCENE.half_extent.to(device), SCENE.near, SCENE.far)

    def ask(ray: torch.Tensor, distance: torch.Tensor):
        places = cast.in_head_space(ray, distance), cast.in_torso_space(ray, distance, scene)
        return field(*places, cast.frame[ray], conditions)

    fused.render(field, cast, scene, conditions, samples, occupancy)
    field.second.weight.data.mul_(1.5)  # as a fused optimiser does, which counts no version
    directions = cast.head_origins, cast.head_directions
    whole = march(*directions, samples, occupancy, ask, training=False, slabs=samples, backend="torch")
    seen = fused.render(field, cast, scene, conditions, samples, occupancy)
    assert whole.accumulation.std() > 0.05 and whole.gates.std() > 0.01
    for name in ("rgb", "accumulation", "depth", "gates"):
        torch.testing.assert_close(getattr(seen, name), getattr(whole, name), atol=0.01, rtol=0.01)
    assert float(seen.num_samples) == pytest.approx(whole.num_samples, rel=0.02)


@torch.no_grad()
def compare_pictures(config: str) -> None:
    """A trained model's picture, by the kernel and by marching."""
    from dfa_nerfstudio.nerf.marching import fused_renderer as fused
    from dfa_nerfstudio.talk.load_model import load_model

    model = load_model(Path(config)).eval()
    camera = film_cameras(model, model.clip.track[:1])
    marched = model.get_outputs_for_camera(camera)
    fused.why_not_fused = lambda field, device: None
    seen = model.get_outputs_for_camera(camera)
    assert {name: values.shape for name, values in seen.items()} == {name: v.shape for name, v in marched.items()}
    assert psnr(seen["rgb"], marched["rgb"]) > 45
    torch.testing.assert_close(seen["depth"], marched["depth"], atol=0.05, rtol=0.02)


def test_a_models_pictures_are_those_of_marching(ball_person: Path, tmp_path: Path):
    pytest.importorskip("triton")
    trainer = _trainer("dfa-nerf-lite", ball_person, tmp_path, steps=100, rays=256)
    trainer.train()
    config = str(next(tmp_path.rglob("config.yml")))
    interpreted(f"from tests.nerf.test_fused_renderer import compare_pictures; compare_pictures({config!r})")


@pytest.mark.parametrize("variant", VARIANTS)
def test_pictures_are_those_of_marching(variant: str):
    pytest.importorskip("triton")
    options = {"rays": 70, "samples": 6, "occupied": variant != "no gates", **VARIANTS[variant]}
    interpreted(f"from tests.nerf.test_fused_renderer import compare; compare('cpu', **{options!r})")


def test_the_kernel_compiles_for_gpus_that_are_not_here():
    """From Python to machine code at the sizes of both methods, for a GPU of 2018 and one of 2022."""
    compiler = pytest.importorskip("triton.compiler")
    from triton.backends.compiler import GPUTarget

    from dfa_nerfstudio.nerf.marching.fused_kernel import render_rays

    halves, whole = {"first", "second", "colour"}, {"count", "levels", "entries_of_grid"}
    for capability, width, cells in ((75, 64, 32), (90, 128, 64)):
        constants = {"SAMPLES": 8, "CELLS": cells, "PLANES": 6, "GRIDS": 8, "FEATURES": 4, "WIDTH": width, "BLOCK": 64}
        constants |= {"GATED": True, "LEANING": True, "IN_TORSO": False}
        types = {
            name: "*fp16"
            if name in halves
            else "i32"
            if name in whole
            else "fp32"
            if name in ("rim", "stop_below")
            else {"numbers": "*i32", "occupied": "*u8"}.get(name, "*fp32")
            for name in render_rays.arg_names
        }
        source = compiler.ASTSource(render_rays, types | dict.fromkeys(constants, "constexpr"), constants)
        assert compiler.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
