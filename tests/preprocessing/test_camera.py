"""Camera motion against known motion, and the background's stability after its removal."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.make_clip import ClipConfig
from dfa_nerfstudio.demo.portrait import load_portrait
from dfa_nerfstudio.demo.subject_motion import make_motion
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.camera_motion import CameraMotion, Thumbnails, estimate_camera_motion
from dfa_nerfstudio.preprocessing.camera.total_variation import smooth_total_variation
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.video.crop import SquareCrop
from tests.preprocessing.conftest import write_clip

SIZE, BORDER = 320, 32


def render_person_before(wall: np.ndarray, seconds: float) -> list[np.ndarray]:
    """Renders the moving demo subject before a wall [S S 3] in [0, 1]."""
    renderer = SubjectRenderer(load_portrait(), len(wall), 2.0)
    renderer._background = wall.astype(np.float32)
    config, times = ClipConfig(size=len(wall), translation=0.2), np.arange(round(25 * seconds)) / 25
    motion = make_motion(config, renderer.reference, times, 2)
    return [
        renderer.render(pose, torso, 0.1, 0.0, np.ones(2))
        for pose, torso in zip(motion.head_to_camera, motion.torso_motion, strict=True)
    ]


@pytest.fixture(scope="module")
def static_frames() -> list[np.ndarray]:
    """Frames of a static camera with a soft pattern as background."""
    size = SIZE + 2 * BORDER
    pattern = np.random.default_rng(5).random((size // 8, size // 8, 3))
    return render_person_before(0.3 + 0.4 * cv2.resize(pattern, (size, size), interpolation=cv2.INTER_CUBIC), 4.0)


def estimate(path: Path, cuts: list[int] | None = None) -> tuple[CameraMotion | None, int]:
    video, thumbnails, count = Video(path), Thumbnails(BytesIO()), 0
    for number, frame in enumerate(video.frames()):
        image = to_rgb(frame)
        count = number + 1
        if number % 25 == 0:
            thumbnails.add(number, image)
    timeline = Timeline.from_cuts(count, count - count // 11, cuts or [])
    progress = ProgressReporter(Console(quiet=True), ProcessReport("test"))
    return estimate_camera_motion(video, range(count), image.shape[1::-1], thumbnails, timeline, progress), count


def similarity(dx: float, dy: float, scale: float, degrees: float) -> np.ndarray:
    matrix = np.vstack([cv2.getRotationMatrix2D((SIZE / 2 + BORDER,) * 2, degrees, scale), [0, 0, 1]])
    matrix[:2, 2] += dx, dy
    return matrix


def apply_crop_motion(frames: list[np.ndarray], motions: list[np.ndarray]) -> list[np.ndarray]:
    """Warps each frame and removes its border, as a moving crop would."""
    warped = (
        cv2.warpAffine(f, m[:2], f.shape[1::-1], flags=cv2.INTER_CUBIC) for f, m in zip(frames, motions, strict=True)
    )
    return [np.ascontiguousarray(image[BORDER:-BORDER, BORDER:-BORDER]) for image in warped]


def errors(camera: CameraMotion, motions: list[np.ndarray]) -> np.ndarray:
    """Returns each frame's mean distance, in pixels over the image, between estimated and true motion, for the best
    reference."""
    offset = np.eye(3)
    offset[:2, 2] = BORDER
    true = np.linalg.inv(offset) @ np.stack(motions) @ offset
    reference = np.median(np.linalg.inv(true)[:, :2] @ _to_3x3(camera.matrices), axis=0)
    points = np.stack([*np.meshgrid(*[np.linspace(20, SIZE - 20, 7)] * 2), np.ones((7, 7))], -1).reshape(-1, 3)
    differences = points @ (camera.matrices - true[:, :2] @ _to_3x3(reference[None])).transpose(0, 2, 1)
    return np.linalg.norm(differences, axis=-1).mean(-1)


def _to_3x3(matrices: np.ndarray) -> np.ndarray:
    return np.concatenate([matrices, np.repeat([[[0.0, 0.0, 1.0]]], len(matrices), 0)], axis=1)


def test_the_motion_of_a_crop_that_follows_the_head_is_recovered(
    static_frames: list[np.ndarray], tmp_path: Path
) -> None:
    time = np.arange(len(static_frames)) / 25
    motions = [
        similarity(9 * np.sin(1.3 * t), 6 * np.sin(1.9 * t + 1), 1 + 0.03 * np.sin(0.8 * t), 1.5 * np.sin(1.1 * t))
        for t in time
    ]
    frames = apply_crop_motion(static_frames, motions)
    camera, count = estimate(write_clip(tmp_path / "moving.mp4", frames))
    assert camera is not None and camera.tracked.all()
    assert np.median(errors(camera, motions)) < 0.15 and errors(camera, motions).max() < 0.5
    # the crop that all frames show has a static background after warping
    crop = camera.common_crop(SquareCrop(0, 0, SIZE), SIZE, SIZE, count)
    assert 0.8 * SIZE < crop.side < SIZE and camera.frames_showing(crop, SIZE, SIZE).mean() > 0.97
    corner = np.stack([camera.warp(n, image, crop)[:40, :40] for n, image in enumerate(frames)]).astype(float)
    before = np.stack([crop.apply(image)[:40, :40] for image in frames]).astype(float)
    assert corner.std(0).mean() < 0.3 * before.std(0).mean()


def test_a_zoom_at_a_cut_is_recovered_and_both_shots_are_static(
    static_frames: list[np.ndarray], tmp_path: Path
) -> None:
    zoomed = similarity(7, -5, 1.06, 0.0)
    motions = [np.eye(3)] * 60 + [zoomed] * (len(static_frames) - 60)
    path = write_clip(tmp_path / "zoom.mp4", apply_crop_motion(static_frames, motions))
    for cuts in ([60], []):  # with and without knowledge of the cut
        camera, _ = estimate(path, cuts)
        assert camera is not None and camera.tracked.all()
        assert errors(camera, motions).max() < 0.6
        steps = np.abs(np.diff(camera.matrices, axis=0)).max((1, 2))
        assert steps.argmax() == 59 and np.delete(steps, 59).max() < 0.1


def test_a_static_camera_is_recognized(static_frames: list[np.ndarray], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [image.copy() for image in static_frames]
    assert estimate(write_clip(tmp_path / "still.mp4", frames))[0] is None
    for number, image in enumerate(frames):  # a screen behind the person whose content changes every half second
        image[:110, :110] = cv2.resize(
            np.random.default_rng(number // 12).integers(0, 255, (6, 6, 3), np.uint8), (110,) * 2
        )
        image[:] = np.clip(image * (1 + 0.05 * np.sin(number)) + rng.normal(0, 2, image.shape), 0, 255)
    assert estimate(write_clip(tmp_path / "screen.mp4", frames))[0] is None


def test_a_person_moving_before_a_plain_wall_is_not_a_moving_camera(tmp_path: Path) -> None:
    frames = render_person_before(np.full((SIZE, SIZE, 3), 0.6), 3.0)
    assert estimate(write_clip(tmp_path / "flat.mp4", frames))[0] is None


def test_a_camera_that_cannot_be_tracked_is_refused(static_frames: list[np.ndarray], tmp_path: Path) -> None:
    """The first half moves visibly; after it the background differs in every frame."""
    motions = [similarity(0.3 * n, 0, 1, 0) for n in range(len(static_frames))]
    frames = apply_crop_motion(static_frames, motions)
    for number in range(50, len(frames)):
        wall = np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)
        frames[number] = cv2.resize(wall, (SIZE, SIZE))
    with pytest.raises(UserError, match="camera moves"):
        estimate(write_clip(tmp_path / "lost.mp4", frames))


def test_a_held_out_end_outside_the_camera_view_causes_a_warning(
    static_frames: list[np.ndarray], tmp_path: Path
) -> None:
    border = len(static_frames) - round(len(static_frames) / 11)
    pan = np.interp(np.arange(len(static_frames)), [border - 6, border], [0, -30])
    motions = [similarity(4 * np.sin(0.1 * n) + shift, 0, 1, 0) for n, shift in enumerate(pan)]
    speech = np.random.default_rng(0).normal(0, 0.1, len(static_frames) * 640)
    video = write_clip(tmp_path / "left.mkv", apply_crop_motion(static_frames, motions), audio=speech.clip(-1, 1))
    report = process_video(video, tmp_path / "out", ProcessConfig(size=64))
    assert report.camera_moved and any("no held-out frame is valid" in warning for warning in report.warnings)
    folder = DatasetFolder.open(tmp_path / "out")
    assert len(folder.train_frames) > 0.9 * border and len(folder.held_out_frames) == 0


def test_total_variation_smoothing_is_constant_at_rest_and_keeps_a_jump() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat([[0.0, 0.0], [5.0, -2.0]], [80, 60], axis=0)
    noise = np.array([0.3, 0.6])
    information = np.repeat(np.diag(1 / noise**2)[None], 140, axis=0)
    measured = truth + rng.normal(0, 1, truth.shape) * noise
    information[100:110] = 0
    measured[100:110] = 99.0
    smooth = smooth_total_variation(measured, information, penalty=30.0)
    assert np.abs(smooth - truth).max() < 0.4
    steps = np.linalg.norm(np.diff(smooth, axis=0), axis=1)
    assert steps.argmax() == 79 and np.delete(steps, 79).max() < 0.05
