"""Fixtures that several rooms share: the trained demo subject, and a tiny subject whose images are computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock

from dfa_nerfstudio.data.attribute_track import LIP_FEATURE, AttributeTrack, FeatureKind
from dfa_nerfstudio.data.dataset_folder import F_A_TRACK, TRACK, ClipAttributes, DatasetFolder
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.face.topology import EYE_CONTOURS, JAW_CONTOUR, MOUTH_SPAN, NOSE_BASE
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from tests.pipeline_fixture import PipelineRun, run_pipeline, succeed

CLIPS = Path(__file__).parents[1] / "../shared/clips"
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason="the real clips (../shared/clips) are not there")


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Gives torch its number of threads back after a test that changes it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A ten-second video of the demo subject, and its ground truth."""
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=10.0, seed=3, size=256))
    with np.load(truth_path(path)) as truth:
        return path, {name: truth[name] for name in truth.files}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> PipelineRun:
    """The demo subject, trained for a moment at small size; made once, for all test processes."""
    folder = shared_folder(tmp_path_factory, "demo")
    clip, speech = folder / "clip.mp4", folder / "speech.wav"
    with FileLock(folder / ".lock"):
        if not (folder / ".done").exists():
            succeed("dfa-demo", "make-clip", "--output", clip, "--seconds", "8", "--size", "192")
            succeed("dfa-demo", "driving-audio", "--output", speech)
            run_pipeline(folder, clip, speech, steps=300)
            (folder / ".done").touch()
    return PipelineRun.in_folder(folder, clip, speech)


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of a test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def ball_person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of a ball-headed person: 48 frames of 40x40, the last 8 held out.

    The head is a textured sphere that turns; its mouth follows the mouth's condition, its eye f_e; the torso is a
    striped board below it that shifts on its own; the background is a gradient. All of it cast ray by ray.
    """
    folder = tmp_path_factory.mktemp("ball") / "person"
    size, focal, count, num_train = 40, 80.0, 48, 40
    generator = np.random.default_rng(0)
    phase = np.linspace(0, 4 * np.pi, count)
    yaw, pitch = 0.35 * np.sin(phase), 0.2 * np.cos(1.7 * phase)
    poses = np.stack([_pose(y, p) for y, p in zip(yaw, pitch, strict=True)])
    torso = np.zeros((count, 4))
    torso[:, 0], torso[:, 1] = 0.03 * np.sin(0.9 * phase), 0.015 * np.cos(2.3 * phase)
    mouth, eye = generator.random(count), generator.random(count)
    audio = np.stack([mouth, 1 - mouth, *generator.normal(0, 0.05, (6, count))], -1)

    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "torso_masks").mkdir()
    background = _background(size)
    cv2.imwrite(str(folder / "background.png"), (background[:, :, ::-1] * 255).round().astype(np.uint8))
    for index in range(count):
        image, mask = _cast(poses[index], torso[index], mouth[index], eye[index], size, focal, background)
        cv2.imwrite(
            str(folder / f"images/{index:05d}.jpg"),
            (image[:, :, ::-1] * 255).round().astype(np.uint8),
            [cv2.IMWRITE_JPEG_QUALITY, 100],
        )
        for name in ("masks", "torso_masks"):
            cv2.imwrite(str(folder / f"{name}/{index:05d}.png"), (mask * 255).astype(np.uint8))
    (folder / "audio.wav").write_bytes(b"RIFF")  # nothing of the renderer reads it
    DatasetFolder.write_transforms(
        folder, focal_length=focal, size=(size, size), num_train=num_train, head_to_camera=poses
    )
    zeros = np.zeros
    ClipAttributes(
        shot=zeros(count, np.int32),
        face_found=np.ones(count, bool),
        landmarks=_landmarks(count),
        front_landmarks=_front_landmarks(count),
        head_to_camera=poses.astype(np.float32),
        torso_motion=torso.astype(np.float32),
        eye_opening=np.stack([eye, eye], -1).astype(np.float32),
        torso_deviation=zeros((count, 4), np.float32),
        torso_found=np.ones(count, bool),
        blinks=zeros((0, 3), np.float32),
        mouth_opening=mouth.astype(np.float32),
        expression=zeros((count, 4), np.float32),
        blendshapes=zeros((count, 0), np.float32),
        mean_shape=zeros((478, 3), np.float32),
        identity_basis=zeros((478, 3, 1), np.float32),
        identity=zeros(1, np.float32),
        expression_basis=zeros((478, 3, 4), np.float32),
        mfcc=zeros((count * MFCC_PER_FRAME, 26), np.float32),
        mfcc_mean=zeros(26, np.float32),
        mfcc_std=np.ones(26, np.float32),
        loudness=zeros(count * MFCC_PER_FRAME, np.float32),
        voice=np.ones(count * MFCC_PER_FRAME, bool),
    ).save(folder / "attributes.npz")
    track = AttributeTrack(
        torch.from_numpy(poses).float(),
        torch.from_numpy(torso).float(),
        torch.from_numpy(np.stack([eye, 1 - eye], -1)).float(),
        torch.from_numpy(audio).float(),
        FeatureKind("eye-blink", 1, "ball"),
        FeatureKind("synchronised-audio", 1, "ball"),
    )
    track.save(folder / F_A_TRACK)
    replace(track, mouth_kind=FeatureKind(LIP_FEATURE, 1, "ball")).save(folder / TRACK)
    return folder


def _front_landmarks(count: int) -> np.ndarray:
    """Where on the ball jaw, lips and eyes are, [count, 68, 3]; no others."""
    front = np.zeros((count, 68, 3), np.float32)
    for first, last, low, high in (
        (3, 14, (-0.4, -0.6), (0.4, -0.4)),
        (36, 42, (-0.35, 0.17), (-0.14, 0.25)),
        (42, 48, (0.14, 0.17), (0.35, 0.25)),
        (48, 68, (-0.28, -0.45), (0.28, -0.14)),
    ):
        corners = np.array([low, high])
        front[:, first:last, :2] = np.resize(corners, (last - first, 2))
        front[:, first:last, 2] = np.sqrt(np.maximum(0.49 - (corners**2).sum(-1).mean(), 0)) - 0.7
    return front


def _landmarks(count: int) -> np.ndarray:
    """Landmarks [count, 478, 3] in pixels that span mouth, eyes and lower face; all others are zero."""
    landmarks = np.zeros((count, 478, 3), np.float32)
    boxes = (
        (MOUTH_SPAN, (12, 17), (28, 26)),
        (EYE_CONTOURS[0], (10, 8), (18, 15)),
        (EYE_CONTOURS[1], (22, 8), (30, 15)),
        ((*JAW_CONTOUR, *NOSE_BASE), (10, 15), (30, 28)),
    )
    for points, low, high in boxes:
        landmarks[:, points[0::2], :2], landmarks[:, points[1::2], :2] = low, high
    return landmarks


def _pose(yaw: float, pitch: float) -> np.ndarray:
    """Head to camera: turned by yaw, then pitch, 5 units in front of the camera."""
    pose = np.eye(4)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    pose[:3, :3] = nod @ turn
    pose[:3, 3] = 0.0, 0.2, -5.0
    return pose


def _background(size: int) -> np.ndarray:
    ramp = np.linspace(0.2, 0.8, size)
    return np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.full((size, size), 0.6)), -1)


def _cast(pose, torso, mouth, eye, size, focal, background):
    """One frame and its mask. The head's centre lies 0.7 behind the origin of head space."""
    axis = (np.arange(size) + 0.5 - size / 2) / focal
    u, v = np.meshgrid(axis, -axis)
    direction = np.stack([u, v, -np.ones_like(u)], -1)  # [H W 3], unit depth
    to_head = np.linalg.inv(pose)
    origin, ray = to_head[:3, 3], direction @ to_head[:3, :3].T
    # the torso board stands 5.5 units away, below v = -0.1
    still = np.stack([u - torso[0], v - torso[1]], -1)
    stripes = 0.5 + 0.4 * np.sign(np.sin(still[..., 0] * 80))
    board = np.stack([stripes, 0.3 * stripes, 1 - stripes], -1)
    on_board = still[..., 1] < -0.1
    image = np.where(on_board[..., None], board, background)
    # the sphere
    centre = np.array([0.0, 0.0, -0.7])
    offset = origin - centre
    a, b, c = (ray**2).sum(-1), (ray @ offset), offset @ offset - 0.7**2
    root = b**2 - a * c
    hit = root > 0
    distance = (-b - np.sqrt(np.maximum(root, 0))) / a
    normal = (origin + distance[..., None] * ray - centre) / 0.7
    skin = 0.5 + 0.4 * np.sin(normal * np.array([4.0, 5.0, 3.0]))
    lips = (np.abs(normal[..., 0]) < 0.4) & (np.abs(normal[..., 1] + 0.4) < 0.05 + 0.2 * mouth) & (normal[..., 2] > 0)
    eyes = (np.abs(np.abs(normal[..., 0]) - 0.35) < 0.15) & (np.abs(normal[..., 1] - 0.3) < 0.03 + 0.12 * eye)
    skin = np.where(lips[..., None], [0.4, 0.0, 0.1], skin)
    skin = np.where((eyes & (normal[..., 2] > 0))[..., None], [1.0, 1.0, 1.0], skin)
    image = np.where(hit[..., None], skin, image)
    return image, hit | on_board
