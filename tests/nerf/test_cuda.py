"""What only a GPU can show: every backend there against the reference on it, and a training in half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.metrics.image_metrics import psnr
from dfa_nerfstudio.nerf.encodings.grid_backends import available, encoder
from dfa_nerfstudio.nerf.marching import OccupancyGrid, torch_sampler
from dfa_nerfstudio.nerf.marching.marching_backends import marching
from dfa_nerfstudio.nerf.marching.ray_marching import cube_interval
from dfa_nerfstudio.talk.frame_renderer import film_cameras
from tests.nerf.test_encodings import LAYOUTS, _points, _table
from tests.nerf.test_fused_renderer import compare
from tests.nerf.test_model import _trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA = torch.device("cuda")


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("backend", ["triton", "tcnn"])
def test_backends_give_the_references_values_and_gradients(backend: str, name: str):
    if backend not in available(CUDA):
        pytest.skip(f"{backend} is not there")
    layout, results = LAYOUTS[name], []
    for read, device in ((encoder("torch", CUDA), "cpu"), (encoder(backend, CUDA), "cuda")):
        points = _points(layout, 5000).to(device).requires_grad_()
        table = _table(layout).to(device).requires_grad_()
        out = read(points, table, layout)
        towards = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(device)
        (out * towards).sum().backward()
        results.append([part.detach().cpu() for part in (out, points.grad, table.grad)])
    for reference, other in zip(*results, strict=True):
        # a point within rounding of a vertex may lie in the next cell, where the slope is another
        wrong = (other - reference).abs() > 1e-3 * reference.abs().max()
        assert wrong.float().mean() < 1e-3


def test_nerfacc_places_and_weighs_the_references_samples():
    place, weigh = marching("nerfacc", CUDA)
    if place is torch_sampler.place:
        pytest.skip("nerfacc's CUDA functions are not there")
    occupancy = OccupancyGrid(15, threshold=0.01, decay=0.9).to(CUDA)  # no sample on a face between cells
    generator = torch.Generator().manual_seed(0)
    occupancy.occupied.copy_(torch.rand(15**3, generator=generator) < 0.3)
    origins = torch.randn(2000, 3, generator=generator).to(CUDA) * 0.3 + torch.tensor([0.0, 0.0, 3.0], device=CUDA)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3, generator=generator).to(CUDA) * 0.2 - origins)
    near, far = cube_interval(origins, directions)
    for strata in ((0, 24), (8, 17)):
        rays = (origins, directions, near, (far - near) / 24, strata, occupancy)
        found = [read(*rays, jitter=False) for read in (torch_sampler.place, place)]
        grids = [torch.zeros(2000, 24, device=CUDA) for _ in found]
        for grid, (ray, distance) in zip(grids, found, strict=True):
            stratum = ((distance - near[ray]) / ((far - near)[ray] / 24)).long().clamp(max=23)
            grid[ray, stratum] = distance
        different = ((grids[0] - grids[1]).abs() > 1e-3).float().mean()
        assert (grids[0] > 0).float().mean() > 0.05 and different < 2e-3
    ray = found[0][0]
    thickness = torch.rand(len(ray), generator=generator).to(CUDA)
    torch.testing.assert_close(weigh(thickness, ray, 2000), torch_sampler.weigh(thickness, ray, 2000))


@pytest.mark.parametrize("width", [64, 128])
def test_one_kernel_shows_what_marching_shows(width: int):
    compare("cuda", rays=20_011, samples=16, occupied=True, width=width)


def test_training_in_half_precision_learns_and_every_backend_shows_the_same(ball_person: Path, tmp_path: Path):
    trainer = _trainer("dfa-nerf", ball_person, tmp_path, steps=300, device="cuda")
    trainer.train()
    model = trainer.pipeline.model.eval()
    camera = film_cameras(model, model.clip.track)[:1].to(CUDA)
    one_kernel = model.get_outputs_for_camera(camera)["rgb"]
    model.config.fused_rendering = False
    truth = torch.from_numpy(trainer.pipeline.datamanager.train_dataset.frame(0)[..., :3]).to(CUDA) / 255
    shown = {}
    for name in available(CUDA):
        model.network.grid.config.backend = name
        shown[name] = model.get_outputs_for_camera(camera)["rgb"]
        assert psnr(shown[name], one_kernel) > 45
    assert psnr(shown["torch"], truth) > 20
    assert model.step_guard.skipped < 30
