"""Rays that are sampled for several steps at once."""

from __future__ import annotations

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras

from dfa_nerfstudio.data.frame_cache import FrameCache
from dfa_nerfstudio.data.pixel_sampler import PixelSampler, PixelSamplerConfig
from dfa_nerfstudio.data.ray_buffer import RayBuffer

FRAMES, HEIGHT, WIDTH = 5, 12, 16


def _buffer() -> tuple[RayBuffer, PixelSampler, np.ndarray]:
    video = np.random.default_rng(0).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 4), np.uint8)
    boxes = torch.tensor([[4, 6, 12, 11], [2, 2, 6, 5], [9, 2, 13, 5], [3, 5, 13, 12]]).expand(FRAMES, 4, 4)
    sampler = PixelSampler(PixelSamplerConfig(), torch.ones(HEIGHT, WIDTH, dtype=torch.bool), boxes)
    pose = torch.eye(4)[None, :3].repeat(FRAMES, 1, 1)
    pose[:, 0, 3] = torch.arange(FRAMES)
    cameras = Cameras(pose, 20.0, 20.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT, times=torch.arange(FRAMES)[:, None] / 4)
    return RayBuffer(sampler, FrameCache(lambda number: video[number], FRAMES, 1.0), cameras), sampler, video


def test_rays_match_the_videos_pixels_and_are_not_repeated():
    buffer, _, video = _buffer()
    seen = []
    for count in (6, 6, 9, 40, 3):
        rays, batch = buffer.take_with_patches(count, 0, 0)
        frame, row, column = batch["indices"].unbind(-1)
        assert len(rays) == len(frame) == len(batch["weight"]) == count
        np.testing.assert_allclose(batch["image"] * 255, video[frame, row, column, :3], atol=1e-3)
        torch.testing.assert_close(rays.origins[:, 0], frame.float())  # the camera of that frame
        torch.testing.assert_close(rays.times[:, 0], frame / 4)
        torch.testing.assert_close(-rays.directions[:, 0] / rays.directions[:, 2], (column + 0.5 - WIDTH / 2) / 20)
        seen.append(batch["indices"])
    assert not torch.equal(seen[0], seen[1])
    rays, batch = buffer.take_with_patches(6, 2, 4)
    assert len(rays) == len(batch["image"]) == 6 + 2 * 16 and len(batch["weight"]) == 6


def test_error_map_is_updated_where_the_errors_occurred():
    buffer, sampler, _ = _buffer()
    before = sampler.error_map.clone()
    wrong = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    wrong[4:8, 8:12] = True
    for _ in range(80):
        _, batch = buffer.take(20)
        _, row, column = batch["indices"].unbind(-1)
        buffer.update_error_map(torch.where(wrong[row, column], 1.0, 0.01))
    error_map = sampler.error_map
    assert float(error_map[1, 2]) > 0.9 * float(before[1, 2])
    error_map[1, 2] = 0
    assert float(error_map.max()) < 0.3
