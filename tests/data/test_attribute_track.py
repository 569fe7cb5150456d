"""The attribute track: looked up by time, written and read."""

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


def test_whole_frames_come_back_exactly_although_times_are_float32(track: AttributeTrack):
    times = (torch.arange(2000, dtype=torch.float64) / 1999).float()
    found = track.at(times)
    assert torch.equal(found.head_to_camera, track.head_to_camera)
    assert torch.equal(found.audio, track.audio)


def test_between_frames_rotations_stay_rotations_and_lie_on_the_arc(track: AttributeTrack):
    found = track.at(torch.tensor([10.25 / 1999, 1998.5 / 1999], dtype=torch.float64))
    for index, (start, share) in enumerate([(10, 0.25), (1998, 0.5)]):
        ends = Rotation.from_matrix(track.head_to_camera[start : start + 2, :3, :3].numpy())
        expected = Slerp([0, 1], ends)(share)
        error = (expected.inv() * Rotation.from_matrix(found.head_to_camera[index, :3, :3].numpy())).magnitude()
        assert error < 1e-3
        mixed = torch.lerp(track.torso_motion[start], track.torso_motion[start + 1], share)
        torch.testing.assert_close(found.torso_motion[index], mixed)


def test_times_beyond_the_ends_show_the_ends(track: AttributeTrack):
    found = track.at(torch.tensor([-1.0, 2.0]))
    assert torch.equal(found.eye, track.eye[[0, -1]])


def test_a_saved_track_is_the_same_and_a_damaged_one_is_refused(track: AttributeTrack, tmp_path: Path):
    path = tmp_path / "track.npz"
    track.save(path)
    again = AttributeTrack.load(path)
    assert torch.equal(again.audio, track.audio) and again.audio_kind == track.audio_kind and again.fps == track.fps
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="truncated"):
        AttributeTrack.load(path)
    np.savez(path, audio=np.zeros(3))
    with pytest.raises(UserError, match="not an attribute track"):
        AttributeTrack.load(path)
    with pytest.raises(UserError, match="no such file"):
        AttributeTrack.load(tmp_path / "other.npz")
