"""The demo clip against its ground truth, measured by mediapipe, by optical flow and by projection."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import av
import cv2
import mediapipe
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.demo import cli
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.demo.portrait import (
    OUTER_EYE_CORNERS,
    PORTRAIT_RIGID_LANDMARKS,
    SCENE_MARGIN,
    SCENE_SIZE,
    TEXTURE_SCALE,
    load_portrait,
)
from dfa_nerfstudio.demo.subject_motion import SubjectMotionConfig, make_motion
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import load_npz

EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=5, seed=3, size=192, blink_rate=0.8))
    return path


@pytest.fixture(scope="module")
def truth(clip: Path) -> dict[str, np.ndarray]:
    return load_npz(truth_path(clip))


@pytest.fixture(scope="module")
def landmarks(clip: Path) -> np.ndarray:
    """mediapipe's landmarks in pixels, configured as in preprocessing; fails if any frame has no face."""
    found = []
    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=False, refine_landmarks=True, min_detection_confidence=0.5, min_tracking_confidence=0.5
    ) as mesh:
        for index, frame in enumerate(frames_of(clip)):
            faces = mesh.process(frame).multi_face_landmarks
            assert faces, f"no face in frame {index}"
            found.append([(point.x, point.y, point.z) for point in faces[0].landmark])
    return np.array(found) * 192


def test_video_and_audio_have_the_configured_length(clip: Path, truth: dict[str, np.ndarray]) -> None:
    with av.open(str(clip)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.frames, video.width, video.height) == (125, 192, 192)
        assert audio.duration * audio.time_base == pytest.approx(5)
    assert len(truth["head_to_camera"]) == 125
    assert truth["focal_length"] == pytest.approx(2 * 192)


def test_tracked_mouth_and_eye_openings_correlate_with_the_truth(
    truth: dict[str, np.ndarray], landmarks: np.ndarray
) -> None:
    def distance(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=1)

    assert correlation(distance(13, 14) / distance(*OUTER_EYE_CORNERS), truth["mouth_opening"]) > 0.94
    assert len(truth["blinks"]) >= 3
    for side, (outer, up1, up2, inner, low2, low1) in enumerate(EYES):
        ratio = (distance(up1, low1) + distance(up2, low2)) / (2 * distance(outer, inner))
        opening = truth["eye_opening"][:, side]
        assert correlation(ratio, opening) > 0.9
        assert ratio[opening < 0.1].mean() < 0.5 * ratio[opening > 0.9].mean()


def test_tracked_head_rotation_matches_the_truth(truth: dict[str, np.ndarray], landmarks: np.ndarray) -> None:
    points = landmarks[:, [*PORTRAIT_RIGID_LANDMARKS, 10, 151, 9]] * (1, -1, -1)
    points = points - points.mean(1, keepdims=True)
    measured = Rotation.concatenate([Rotation.align_vectors(p, points[0])[0] for p in points])
    true = Rotation.from_matrix(truth["head_to_camera"][:, :3, :3])
    true = true * true[0].inv()
    offset = (measured * true.inv()).mean()
    assert np.degrees((measured * true.inv() * offset.inv()).magnitude()).mean() < 2.5
    angles, seen = (rotation.as_euler("YXZ") for rotation in (true, measured))
    assert correlation(angles[:, 0], seen[:, 0]) > 0.97


def test_optical_flow_on_the_torso_matches_the_true_similarity(clip: Path, truth: dict[str, np.ndarray]) -> None:
    """Corners of the suit, tracked by optical flow, move as the true similarity predicts."""
    frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_of(clip)]
    motion = truth["torso_motion"]
    focal, centre = float(truth["focal_length"]), 96.0
    first, last = 0, int(np.argmax(np.abs(motion[:, :2] - motion[0, :2]).sum(1)))
    suit = np.zeros_like(frames[0])
    suit[150:, 15:165] = 255
    start = cv2.goodFeaturesToTrack(frames[first], 60, 0.02, 5, mask=suit)[:, 0]
    seen, found, _ = cv2.calcOpticalFlowPyrLK(frames[first], frames[last], start, None, winSize=(15, 15), maxLevel=3)

    def matrix(row: np.ndarray) -> np.ndarray:
        dx, dy, log_scale, angle = row
        turn = np.exp(log_scale) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.block([[turn, np.array([[dx], [dy]])], [np.zeros((1, 2)), 1]])

    plane = np.column_stack([(start + 0.5 - centre) / focal * (1, -1), np.ones(len(start))])
    moved = plane @ (matrix(motion[last]) @ np.linalg.inv(matrix(motion[first]))).T
    expected = moved[:, :2] * (1, -1) * focal + centre - 0.5
    kept = found[:, 0] == 1
    assert kept.sum() > 20
    assert np.abs(expected - start).max() > 1.5, "the torso hardly moves: the test is void"
    assert np.median(np.linalg.norm(expected - seen, axis=1)[kept]) < 0.35


@pytest.mark.parametrize(("focal", "angles"), [(2.0, (12, -6, 4)), (1.0, (-12, 8, -5))])
def test_head_is_rendered_with_a_pinhole_projection(focal: float, angles: tuple[float, float, float]) -> None:
    """A rendered texture of its own coordinates against the projected 3-D points of the surface."""
    portrait, size = load_portrait(), 256
    renderer = SubjectRenderer(portrait, size, focal)
    pose = renderer.reference.copy()
    pose[:3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix() @ pose[:3, :3]
    pose[:3, 3] += (0.2, -0.1, 0.4)
    side = len(portrait.relief) * TEXTURE_SCALE
    rows, columns = (np.mgrid[:side, :side].astype(np.float32) + 0.5) / TEXTURE_SCALE - SCENE_MARGIN
    coded = np.dstack([columns, rows, np.zeros_like(rows), portrait.head[..., 3]])
    layer, (window_rows, window_columns) = renderer._head(coded, pose @ np.linalg.inv(renderer.reference))

    rng = np.random.default_rng(0)
    face = portrait.landmarks[:468, :2]
    points = rng.uniform(face.min(0) + 12, face.max(0) - 12, (500, 2))  # where the face does not occlude itself
    index = points + SCENE_MARGIN - 0.5
    relief = cv2.remap(portrait.relief, *np.float32(index.T[:, :, None]), cv2.INTER_LINEAR)
    camera = portrait.unproject(np.column_stack([points, relief]), focal * SCENE_SIZE)
    head = (camera - renderer.reference[:3, 3]) @ renderer.reference[:3, :3]
    camera = head @ pose[:3, :3].T + pose[:3, 3]
    pixel = size / 2 + focal * size * camera[:, :2] / -camera[:, 2:] * (1, -1) - 0.5
    pixel -= (window_columns.start, window_rows.start)
    seen = cv2.remap(np.ascontiguousarray(layer[..., :2]), *np.float32(pixel.T[:, :, None]), cv2.INTER_LINEAR)[:, 0]
    error = np.linalg.norm(seen - points, axis=1)
    assert np.median(error) < 0.05
    assert np.percentile(error, 98) < 0.5


def test_longer_clip_begins_like_the_shorter_one(tmp_path: Path) -> None:
    for name, seconds, seed in (("short", 1.0, 7), ("again", 1.0, 7), ("long", 1.6, 7), ("other", 1.0, 8)):
        make_clip(tmp_path / f"{name}.mp4", ClipConfig(seconds=seconds, seed=seed, size=64))
    short, again, long, other = (load_npz(tmp_path / f"{n}.truth.npz") for n in ("short", "again", "long", "other"))
    assert (tmp_path / "short.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    for key in ("head_to_camera", "torso_motion", "mouth_opening", "eye_opening"):
        np.testing.assert_array_equal(short[key], again[key])
        np.testing.assert_allclose(short[key][:20], long[key][:20], atol=1e-6)  # after that the shorter clip fades out
    assert np.abs(short["head_to_camera"] - other["head_to_camera"]).max() > 0.01


def test_every_blink_closes_the_eyes_at_the_configured_rate() -> None:
    times = np.arange(6000) / 25
    reference = load_portrait().head_pose(600)
    motion = make_motion(SubjectMotionConfig(blink_rate=0.35), reference, times, seed=0)
    assert len(motion.blinks) / 240 == pytest.approx(0.35, rel=0.15)
    for start, _, end in motion.blinks[:-1]:
        assert 0.15 <= end - start <= 0.3
        assert motion.eye_opening[(times > start) & (times < end)].min() < 0.01
    turned = Rotation.from_matrix(motion.head_to_camera[:, :3, :3] @ reference[:3, :3].T)
    extreme = np.abs(turned.as_euler("YXZ", degrees=True)).max(0)
    assert (extreme < (12, 8, 5)).all() and (extreme > (10, 6.5, 4)).all()
    still = make_motion(SubjectMotionConfig(blink_rate=0), reference, times, seed=0)
    assert still.eye_opening.min() == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["make-clip", "--output", "demo.mp4", "--seconds", "0"],
        ["make-clip", "--output", "demo.mp4", "--seconds", "nan"],
        ["make-clip", "--output", "demo.mp4", "--size", "10"],
        ["make-clip", "--output", "demo.mp4", "--focal", "0"],
        ["make-clip", "--output", "demo.avi"],
        ["make-clip", "--output", "file/demo.mp4"],
        ["driving-audio", "--output", "speech.mp3"],
        ["driving-audio", "--output", "file/speech.wav"],
    ],
)
def test_invalid_option_ends_in_a_one_line_error(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["dfa-demo", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    assert all(option in message for option in arguments[3:] if option.startswith("--")), "names the invalid option"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_interrupted_clip_leaves_no_file(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_clip(tmp_path / "demo.mp4", ClipConfig(seconds=1, size=64), stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="even"):
        make_clip(tmp_path / "demo.mp4", ClipConfig(size=65))


def test_driving_audio_is_a_wav_of_16_khz_mono(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dfa-demo", "driving-audio", "--output", str(tmp_path / "speech.wav")])
    cli.main()
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert 5 < file.getnframes() / 16_000 < 7
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert 0.3 < np.abs(samples / 32768).max() < 1
