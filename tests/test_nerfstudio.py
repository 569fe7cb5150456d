"""nerfstudio's own commands applied to a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from tests.pipeline_fixture import PipelineRun, run, succeed

MARGIN_DB = 3.0
"""By which a trained model must exceed the mean training image, in dB."""


def read_frame(folder: DatasetFolder, frame: int) -> np.ndarray:
    """Returns a frame of the source video, BGR."""
    return cv2.imread(str(folder.path / folder.meta["frames"][frame]["file_path"])).astype(float)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Returns the PSNR of two images of 0 to 255, in dB."""
    return 10 * np.log10(255**2 / np.mean((image - truth) ** 2))


def mean_image(folder: DatasetFolder) -> np.ndarray:
    """Returns the mean training image: the trivial baseline."""
    return np.mean([read_frame(folder, number) for number in folder.train_frames], axis=0)


def assert_renders(image: Path, folder: DatasetFolder, frame: int) -> None:
    """Asserts that an image shows a frame of the source video, and shows it better than the mean image does."""
    truth = read_frame(folder, frame)
    assert psnr(cv2.imread(str(image)), truth) > psnr(mean_image(folder), truth) + MARGIN_DB


def test_ns_eval_scores_the_held_out_frames(demo: PipelineRun):
    succeed("ns-eval", "--load-config", demo.config, "--output-path", demo.folder / "eval.json")
    results = json.loads((demo.folder / "eval.json").read_text())["results"]
    folder = DatasetFolder.open(demo.data)
    mean = mean_image(folder)
    baseline = np.mean([psnr(mean, read_frame(folder, number)) for number in folder.held_out_frames])
    assert results["psnr"] > baseline + MARGIN_DB


def test_ns_render_renders_the_held_out_frames(demo: PipelineRun, tmp_path: Path):
    command = ("ns-render", "dataset", "--load-config", demo.config, "--output-path", tmp_path)
    succeed(*command, "--split", "test", "--rendered-output-names", "rgb")
    folder = DatasetFolder.open(demo.data)
    rendered = sorted((tmp_path / "test/rgb").iterdir())
    assert len(rendered) == len(folder.held_out_frames)
    for path, number in zip(rendered[::8], folder.held_out_frames[::8], strict=True):
        assert_renders(path, folder, number)


def test_ns_render_renders_a_camera_path_through_time(demo: PipelineRun, tmp_path: Path):
    """With the source video's camera of each frame at the frame's time, the renderings are the source video."""
    folder, track = DatasetFolder.open(demo.data), AttributeTrack.load(demo.data / TRACK)
    frames = [10, 60, 120]
    cameras = [
        {
            "camera_to_world": torch.linalg.inv(track.head_to_camera[frame]).flatten().tolist(),
            "fov": float(np.degrees(2 * np.arctan(folder.meta["h"] / 2 / folder.meta["fl_y"]))),
            "aspect": 1.0,
            "render_time": frame / (len(track) - 1),
        }
        for frame in frames
    ]
    path = {"camera_path": cameras, "render_height": 64, "render_width": 64, "fps": 25, "seconds": 0.12}
    (tmp_path / "path.json").write_text(json.dumps({**path, "camera_type": "perspective"}))
    command = ("ns-render", "camera-path", "--load-config", demo.config, "--camera-path-filename")
    succeed(*command, tmp_path / "path.json", "--output-path", tmp_path / "out.mp4", "--output-format", "images")
    rendered = sorted((tmp_path / "out").iterdir())
    assert len(rendered) == 3
    for image, frame in zip(rendered, frames, strict=True):
        assert_renders(image, folder, frame)


def test_a_camera_path_without_times_is_rendered(demo: PipelineRun, tmp_path: Path):
    command = ("ns-render", "interpolate", "--load-config", demo.config, "--output-path", tmp_path / "out.mp4")
    succeed(*command, "--interpolation-steps", "1", "--pose-source", "eval")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) > 3


def test_ns_export_refuses_meshes_and_exports_cameras(demo: PipelineRun, tmp_path: Path):
    pytest.importorskip("open3d", reason="ns-export needs it, and it needs libusb-1.0", exc_type=ImportError)
    result = run("ns-export", "pointcloud", "--load-config", demo.config, "--output-dir", tmp_path)
    assert result.returncode == 2 and "another shape in every frame" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    succeed("ns-export", "cameras", "--load-config", demo.config, "--output-dir", tmp_path)
