"""A source with 24 frames/s gives the same motion as one with 25."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import median_rotation_error
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video


def test_24_frames_per_second_are_processed_without_judder(demo_clip: tuple[Path, dict], tmp_path: Path) -> None:
    _, truth = demo_clip  # 25 frames/s
    clip = tmp_path / "clip.mp4"
    make_clip(clip, ClipConfig(seconds=6.0, seed=3, size=256, fps=24))
    process_video(clip, tmp_path / "data", ProcessConfig(size=64, held_out=0))
    folder = DatasetFolder.open(tmp_path / "data")
    count = 125  # later the shorter clip fades out
    true = Rotation.from_matrix(truth["head_to_camera"][:count, :3, :3])
    at_frames = Rotation.from_matrix(folder.attributes.head_to_camera[:count, :3, :3])
    at_images = Rotation.from_matrix(folder.cameras[:count, :3, :3].transpose(0, 2, 1))
    jerk, true_jerk = (np.diff((one * one[0].inv()).as_rotvec(), 2, axis=0).std() for one in (at_frames, true))
    assert jerk < 1.15 * true_jerk
    # each image has the pose of its own time: the truth at 24 frames/s, with every image that is shown twice
    own = Rotation.from_matrix(load_npz(clip.with_suffix(".truth.npz"))["head_to_camera"][:, :3, :3])
    shown = np.rint(folder.times.frames[:count] * 24 / 25).astype(int)
    assert len(np.unique(shown)) < count and folder.source_frame_rate == 24
    for found, expected in ((at_frames, true), (at_images, own[shown])):
        assert median_rotation_error(found.as_matrix(), expected.as_matrix()) < 0.5
