"""Attribute tracks are looked up by time, written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.errors import UserError


@pytest.fixture
def track() -> AttributeTrack:
    generator = torch.Generator().manual_seed(0)
    poses = torch.eye(4).repeat(2000, 1, 1)
    vectors = torch.cumsum(torch.randn(2000, 3, generator=generator) * 0.02, 0)
    poses[:, :3, :3] = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
    poses[:, :3, 3] = torch.randn(2000, 3, generator=generator)
    values = [torch.randn(2000, size, generator=generator) for size in (4, 3, 5)]
    return AttributeTrack(poses, *values, FeatureKind("eye-blink", 1, "a"), FeatureKind("synchronised-audio", 2, "b"))


def test_whole_frames_are_returned_exactly_for_float32_times(track: AttributeTrack):
    times = (torch.arange(2000, dtype=torch.float64) / 1999).float()
    found = track.at(times)
    assert torch.equal(found.head_to_camera, track.head_to_camera)
    assert torch.equal(found.mouth, track.mouth)


def test_rotations_between_frames_lie_on_the_geodesic(track: AttributeTrack):
    found = track.at(torch.tensor([10.25 / 1999, 1998.5 / 1999], dtype=torch.float64))
    for index, (start, share) in enumerate([(10, 0.25), (1998, 0.5)]):
        ends = Rotation.from_matrix(track.head_to_camera[start : start + 2, :3, :3].numpy())
        expected = Slerp([0, 1], ends)(share)
        error = (expected.inv() * Rotation.from_matrix(found.head_to_camera[index, :3, :3].numpy())).magnitude()
        assert error < 1e-3
        mixed = torch.lerp(track.torso_motion[start], track.torso_motion[start + 1], share)
        torch.testing.assert_close(found.torso_motion[index], mixed)


def test_times_outside_the_track_are_clamped_to_its_ends(track: AttributeTrack):
    found = track.at(torch.tensor([-1.0, 2.0]))
    assert torch.equal(found.eye, track.eye[[0, -1]])


def test_saved_tracks_are_read_back_and_damaged_ones_refused(track: AttributeTrack, tmp_path: Path):
    path = tmp_path / "track.npz"
    track.save(path)
    loaded = AttributeTrack.load(path)
    for name in ("head_to_camera", "torso_motion", "eye", "mouth"):
        assert torch.equal(getattr(loaded, name), getattr(track, name))
    assert (loaded.eye_kind, loaded.mouth_kind, loaded.fps) == (track.eye_kind, track.mouth_kind, track.fps)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="truncated"):
        AttributeTrack.load(path)
    np.savez(path, audio=np.zeros(3))
    with pytest.raises(UserError, match="not an attribute track"):
        AttributeTrack.load(path)
    with pytest.raises(UserError, match="no such file"):
        AttributeTrack.load(tmp_path / "other.npz")
