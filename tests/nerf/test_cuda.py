"""Tests on a GPU: every available backend against the reference, and training in half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.encodings.grid_backends import available_backends, grid_encoder, triton_failure
from dfa_nerfstudio.nerf.marching import OccupancyGrid, torch_sampler
from dfa_nerfstudio.nerf.marching.marching_backends import marching_functions
from dfa_nerfstudio.nerf.marching.ray_marching import cube_interval
from dfa_nerfstudio.talk.frame_renderer import source_cameras
from tests.nerf.test_encodings import LAYOUTS, _points, _table
from tests.nerf.test_model import _trainer
from tests.nerf.test_triton_renderer import compare

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
CUDA = torch.device("cuda")


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("backend", ["triton", "tcnn"])
def test_backends_give_the_references_values_and_gradients(backend: str, name: str):
    if backend not in available_backends(CUDA):
        pytest.skip(f"{backend} is not installed")
    layout, results = LAYOUTS[name], []
    assert backend != "triton" or triton_failure(layout, CUDA) is None
    for encode, device in ((grid_encoder("torch", CUDA, layout), "cpu"), (grid_encoder(backend, CUDA, layout), "cuda")):
        points = _points(layout, 5000).to(device).requires_grad_()
        table = _table(layout).to(device).requires_grad_()
        out = encode(points, table, layout)
        direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(device)
        (out * direction).sum().backward()
        results.append([part.detach().cpu() for part in (out, points.grad, table.grad)])
    for reference, other in zip(*results, strict=True):
        # a point within rounding of a vertex may lie in the next cell, which has another slope
        wrong = (other - reference).abs() > 1e-3 * reference.abs().max()
        assert wrong.float().mean() < 1e-3


def test_nerfacc_gives_the_references_samples_and_weights():
    sample, compute_weights = marching_functions("nerfacc", CUDA)
    if sample is torch_sampler.sample:
        pytest.skip("nerfacc's CUDA functions are not installed")
    occupancy = OccupancyGrid(15, threshold=0.01, decay=0.9).to(CUDA)  # no sample on a face between cells
    generator = torch.Generator().manual_seed(0)
    occupancy.occupied.copy_(torch.rand(15**3, generator=generator) < 0.3)
    origins = torch.randn(2000, 3, generator=generator).to(CUDA) * 0.3 + torch.tensor([0.0, 0.0, 3.0], device=CUDA)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3, generator=generator).to(CUDA) * 0.2 - origins)
    near, far = cube_interval(origins, directions)
    for strata in ((0, 24), (8, 17)):
        rays = (origins, directions, near, (far - near) / 24, strata, occupancy)
        found = [function(*rays, jitter=False) for function in (torch_sampler.sample, sample)]
        grids = [torch.zeros(2000, 24, device=CUDA) for _ in found]
        for grid, (ray, distance) in zip(grids, found, strict=True):
            stratum = ((distance - near[ray]) / ((far - near)[ray] / 24)).long().clamp(max=23)
            grid[ray, stratum] = distance
        different = ((grids[0] - grids[1]).abs() > 1e-3).float().mean()
        assert (grids[0] > 0).float().mean() > 0.05 and different < 2e-3
    ray = found[0][0]
    optical_depth = torch.rand(len(ray), generator=generator).to(CUDA)
    torch.testing.assert_close(
        compute_weights(optical_depth, ray, 2000), torch_sampler.compute_weights(optical_depth, ray, 2000)
    )


@pytest.mark.parametrize("width", [64, 128])
def test_fused_kernel_renders_what_marching_renders(width: int):
    compare("cuda", rays=20_011, samples=16, occupied=True, width=width)


def test_training_in_half_precision_learns_and_all_backends_render_the_same_image(ball_person: Path, tmp_path: Path):
    trainer = _trainer("dfa-nerf", ball_person, tmp_path, steps=300, device="cuda")
    trainer.train()
    model = trainer.pipeline.model.eval()
    camera = source_cameras(model, model.clip.track)[:1].to(CUDA)
    fused = model.get_outputs_for_camera(camera)["rgb"]
    assert model.renderer.kernel_check.failure is None
    model.config.fused_rendering, model.config.render_fraction = False, 1
    truth = torch.from_numpy(trainer.pipeline.datamanager.train_dataset.frame(0)[..., :3]).to(CUDA) / 255
    rendered = {}
    for name in available_backends(CUDA):
        model.network.grid.config.backend = name
        rendered[name] = model.get_outputs_for_camera(camera)["rgb"]
        assert psnr(rendered[name], fused) > 45
    assert psnr(rendered["torch"], truth) > 20
    assert trainer.pipeline.gradient_guard.num_skipped < 30
