"""Attribute tracks are looked up by time, written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

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


def test_a_smooth_motion_is_interpolated_smoothly():
    """Twice the frame rate of a motion whose values between the frames are known."""

    def motion(count: int, fps: float) -> AttributeTrack:
        seconds = torch.arange(count) / fps
        angles = torch.stack([0.3 * torch.sin(6 * seconds), 0.2 * torch.cos(9 * seconds), 0.1 * seconds], -1)
        poses = torch.eye(4).repeat(count, 1, 1)
        poses[:, :3, :3] = torch.from_numpy(Rotation.from_rotvec(angles.numpy()).as_matrix())
        values = [torch.sin(seconds[:, None] * torch.arange(4, 4 + size)) for size in (4, 2, 3)]
        return AttributeTrack(poses, *values, FeatureKind("eye-blink", 1, "a"), FeatureKind("lips", 2, "b"), fps)

    truth, frames = motion(399, 50), motion(200, 25)
    found = frames.at(torch.arange(399, dtype=torch.float64) / 398)
    error = Rotation.from_matrix(found.head_to_camera[:, :3, :3].numpy()).inv() * Rotation.from_matrix(
        truth.head_to_camera[:, :3, :3].numpy()
    )
    inner = slice(4, -4)  # beyond the ends nothing is known
    assert error.magnitude()[inner].max() < 1e-3  # a linear interpolation is wrong by 3e-3
    assert (found.torso_motion - truth.torso_motion)[inner].abs().max() < 2e-3
    acceleration = [one.mouth[inner].diff(n=2, dim=0).square().mean() for one in (found, truth)]
    assert acceleration[0] < 1.1 * acceleration[1]


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
