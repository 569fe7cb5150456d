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


def frame_psnr(image: Path, folder: DatasetFolder, frame: int) -> float:
    """Returns the PSNR of an image and a frame of the source video, in dB."""
    truth = cv2.imread(str(folder.path / folder.meta["frames"][frame]["file_path"])).astype(float)
    return 10 * np.log10(255**2 / np.mean((cv2.imread(str(image)) - truth) ** 2))


def test_ns_eval_scores_the_held_out_frames(demo: PipelineRun):
    succeed("ns-eval", "--load-config", demo.config, "--output-path", demo.folder / "eval.json")
    results = json.loads((demo.folder / "eval.json").read_text())["results"]
    assert results["psnr"] > 20, "the mean image reaches about 18 dB"


def test_ns_render_renders_the_held_out_frames(demo: PipelineRun, tmp_path: Path):
    command = ("ns-render", "dataset", "--load-config", demo.config, "--output-path", tmp_path)
    succeed(*command, "--split", "test", "--rendered-output-names", "rgb")
    folder = DatasetFolder.open(demo.data)
    rendered = sorted((tmp_path / "test/rgb").iterdir())
    assert len(rendered) == len(folder.held_out_frames)
    for path, number in zip(rendered[::8], folder.held_out_frames[::8], strict=True):
        assert frame_psnr(path, folder, number) > 18


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
        assert frame_psnr(image, folder, frame) > 18


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
