"""Rays in torso space and the background plane against an independent projection of points."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.nerf.background_model import BackgroundConfig, BackgroundModel
from dfa_nerfstudio.nerf.coordinate_frames import SceneBounds, make_rays


def _track(motion: list[float]) -> AttributeTrack:
    pose = torch.eye(4)
    pose[:3, :3] = torch.from_numpy(Rotation.from_euler("yxz", [0.3, -0.2, 0.1]).as_matrix())
    pose[:3, 3] = torch.tensor([0.2, -0.1, -6.0])
    kind = FeatureKind("x", 1, "")
    return AttributeTrack(pose[None], torch.tensor([motion]), torch.zeros(1, 2), torch.zeros(1, 3), kind, kind)


def test_torso_space_undoes_the_torsos_motion():
    motion = [0.05, -0.03, 0.1, 0.2]
    track = _track(motion)
    reference = np.array([[0.1, -0.2], [-0.3, -0.25]])  # points of the clothes on the reference frame's image plane
    cos, sin, scale = np.cos(motion[3]), np.sin(motion[3]), np.exp(motion[2])
    moved = scale * reference @ np.array([[cos, sin], [-sin, cos]]) + motion[:2]
    depth = np.array([5.0, 7.0])
    camera = np.concatenate([moved * depth[:, None], -depth[:, None], np.ones((2, 1))], -1)  # OpenGL
    head = torch.from_numpy(camera @ np.linalg.inv(track.head_to_camera[0].numpy()).T)[:, :3].float()

    scene = SceneBounds(
        torch.tensor([[-4.0, -2.0, -1.0], [4.0, 2.0, 3.0]]), torch.tensor([0.5, 0.4]), near=4.0, far=8.0
    )

    rays = make_rays(head, torch.zeros_like(head), torch.zeros(2, dtype=torch.long), track, scene)
    in_torso = rays.in_torso_space(torch.arange(2), torch.zeros(2), scene)
    in_head = rays.in_head_space(torch.arange(2), torch.zeros(2))

    torch.testing.assert_close(in_torso[:, :2], torch.from_numpy(reference / [0.5, 0.4]).float())
    torch.testing.assert_close(in_torso[:, 2], torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(in_head, (head - torch.tensor([0.0, 0.0, 1.0])) / torch.tensor([4.0, 2.0, 2.0]))


def test_background_is_the_videos_own_pixel_at_any_distance():
    track, size, focal = _track([0.0] * 4), (6, 4), 5.0
    image = torch.rand(3, size[1], size[0])
    row, column = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="ij")
    u, v = (column + 0.5 - size[0] / 2) / focal, -(row + 0.5 - size[1] / 2) / focal
    direction = torch.stack([u, v, -torch.ones_like(u)], -1).reshape(-1, 3)
    to_head = torch.linalg.inv(track.head_to_camera[0])
    direction = torch.nn.functional.normalize(direction @ to_head[:3, :3].T, dim=-1)
    origin = to_head[:3, 3].expand_as(direction)
    half, box = torch.tensor([size[0] / 2 / focal, size[1] / 2 / focal]), torch.tensor([[-1.0] * 3, [1.0] * 3])
    frame, codes = torch.zeros(len(origin), dtype=torch.long), torch.tensor([[1.0, 2.0]])
    background = BackgroundModel(BackgroundConfig(appearance_size=2), image, appearance_dim=2)
    torch.nn.init.zeros_(background.appearance_images)
    for distance in (6.0, 30.0):
        scene = SceneBounds(box, half, near=1.0, far=distance)
        colour = background(make_rays(origin, direction, frame, track, scene), scene, codes)
        torch.testing.assert_close(colour, image.flatten(1).t(), atol=1e-4, rtol=0)
    away = make_rays(origin, -direction, frame, track, scene)
    torch.testing.assert_close(background(away, scene, codes), image.mean((1, 2)).expand(len(origin), 3))

    torch.nn.init.ones_(background.appearance_images)  # the code adds to every pixel, the correction to single ones
    background.correction.data[0, 1, 2] = 0.5
    colour = background(make_rays(origin, direction, frame, track, scene), scene, codes).reshape(size[1], size[0], 3)
    expected = image.permute(1, 2, 0) + 3
    expected[1, 2, 0] += 0.5
    torch.testing.assert_close(colour, expected, atol=1e-4, rtol=0)
