"""Cuts, scenes and lost faces: detection, false detections, and their effect on the dataset."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.timeline import Timeline, true_runs
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from dfa_nerfstudio.preprocessing.video.scene_cuts import Cut, CutDetector
from tests.conftest import CLIPS, needs_clips
from tests.preprocessing.conftest import decode, write_clip

Demo = tuple[Path, dict[str, np.ndarray]]
Frames = list[np.ndarray]


def cuts(frames: Frames) -> list[Cut]:
    detector = CutDetector()
    for image in frames:
        detector.add(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"))
    return detector.cuts()


def zoomed(frames: Frames) -> Frames:
    """Frames zoomed by 4/3."""
    side = len(frames[0])
    return [cv2.resize(image[side // 8 : -side // 8, side // 8 : -side // 8], (side, side)) for image in frames]


@pytest.fixture(scope="module")
def frames(demo_clip: Demo) -> Frames:
    return decode(demo_clip[0])


def find_jump(truth: dict[str, np.ndarray]) -> tuple[int, int]:
    """Returns the two frames with the largest distance between their head positions."""
    positions = truth["head_to_camera"][50:200, :2, 3]
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    return 50 + int(first), 50 + int(second)


def test_jump_cuts_are_distinguished_from_changes_of_scene(frames: Frames, demo_clip: Demo) -> None:
    first, second = find_jump(demo_clip[1])
    jumped = frames[first - 40 : first] + frames[second : second + 40]
    assert cuts(jumped) == [Cut(40, same_scene=True)]
    elsewhere = [np.ascontiguousarray(image[:, ::-1]) for image in frames[:40]]
    assert cuts(frames[:40] + elsewhere) == [Cut(40, same_scene=False)]
    assert cuts(frames[:40] + zoomed(frames[40:48]) + frames[48:90]) == [Cut(40, False), Cut(48, False)]


def test_flashes_light_changes_and_fast_motion_are_not_cuts(frames: Frames) -> None:
    assert cuts(frames) == []
    flash = list(frames[:100])
    for number in (50, 51):
        flash[number] = (255 - (255 - flash[number]) * 0.4).astype(np.uint8)
    assert cuts(flash) == []
    assert cuts(frames[:50] + [(image * 0.6).astype(np.uint8) for image in frames[50:100]]) == []
    panned = [np.roll(image, 9 * int(np.clip(number - 50, 0, 8)), axis=1) for number, image in enumerate(frames[:100])]
    assert cuts(panned) == []
    assert cuts([image for image in frames[:60] for _ in range(2)]) == []  # 12.5 frames/s, each shown twice


@needs_clips
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acosta_71s.mp4", [176, 702, 953, 1429]),  # verified by eye
        ("hallo3_00264273.mp4", [222]),
        ("hdtf_WDA_BobMenendez_000.mp4", []),  # its crop follows the head
        ("german_anchor_20s.mp4", []),
    ],
)
def test_cuts_of_real_clips(name: str, expected: list[int]) -> None:
    detector = CutDetector()
    for frame in Video(CLIPS / name).frames():
        detector.add(frame)
    assert detector.cuts() == [Cut(frame, same_scene=True) for frame in expected]


def test_lost_faces_split_the_timeline() -> None:
    found = np.ones(100, bool)
    for gap in (slice(0, 3), slice(20, 32), slice(40, 53), slice(55, 70), slice(90, 92)):
        found[gap] = False  # 0.1 s at the start; 0.5 s; 0.52 s; 0.6 s, after 2 valid frames; at the border
    timeline = Timeline.from_cuts(100, 90, [75]).exclude_lost(found)
    expected = np.repeat([-1, 0, -1, 1, 2, -1, 2], [3, 37, 30, 5, 15, 2, 8])
    expected[92:] = 3
    np.testing.assert_array_equal(timeline.shot, expected)
    assert true_runs(~timeline.valid) == [slice(0, 3), slice(40, 70), slice(90, 92)]
    assert timeline.segments() == [slice(3, 40), slice(70, 75), slice(75, 90), slice(92, 100)]
    assert sum(run.stop - run.start for run in timeline.runs()) == 100
    assert timeline.train_mask.sum() == 90 - 33


def test_a_lost_face_is_interpolated_or_excluded_with_a_warning(
    frames: Frames, demo_clip: Demo, tmp_path: Path
) -> None:
    images = [image.copy() for image in frames[:200]]
    for number in (*range(60, 64), *range(100, 140)):
        images[number][:170] = 90  # occludes the head
    video = write_clip(tmp_path / "lost.mkv", images, audio=read_audio(demo_clip[0])[: 200 * 640])
    report = process_video(video, tmp_path / "lost", ProcessConfig(size=64))
    clip = DatasetFolder.open(tmp_path / "lost").attributes
    lost = np.flatnonzero(clip.shot < 0)
    assert lost.min() in (99, 100, 101) and lost.max() in (138, 139, 140) and len(lost) == np.ptp(lost) + 1
    assert clip.shot[lost.min() - 1] != clip.shot[lost.max() + 1]
    assert not clip.face_found[60:64].any() and (clip.shot[:99] == 0).all() and report.faces_interpolated >= 4
    assert any("4.0 to 5.6 s" in warning for warning in report.warnings)
    positions = clip.head_to_camera[:, :3, 3]
    interpolated = np.linspace(positions[59], positions[64], 6)[1:-1]
    assert np.abs(positions[60:64] - interpolated).max() < 0.1  # outer eye corner distances
    hidden = [np.full_like(image, 90) if number % 3 else image for number, image in enumerate(images[:90])]
    video = write_clip(tmp_path / "hidden.mkv", hidden, audio=read_audio(demo_clip[0])[: 90 * 640])
    with pytest.raises(UserError, match=r"only 2\d of 82 frames"):
        process_video(video, tmp_path / "out", ProcessConfig(size=64))


def test_scenes_are_refused_or_split(frames: Frames, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    empty = [cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (256, 256))] * 60
    images = frames[:75] + empty + zoomed(frames[:80]) + [image[::-1] for image in frames[:20]]
    speech = rng.normal(0, 0.1, len(images) * 640) * np.repeat(rng.uniform(0, 1, len(images)), 640)
    video = write_clip(tmp_path / "scenes.mkv", images, audio=speech.clip(-1, 1))
    with pytest.raises(UserError, match=r"at 3\.00 s, 5\.40 s, 8\.60 s.*`scene_cut=split`"):
        process_video(video, tmp_path / "out", ProcessConfig(size=64))
    assert not (tmp_path / "out").exists()
    report = process_video(video, tmp_path / "out", ProcessConfig(size=64, scene_cut="split"))
    whole = read_audio(video)
    for name, first, count in (("scene_00", 0, 75), ("scene_02", 135, 80)):
        folder = DatasetFolder.open(tmp_path / "out" / name)
        assert folder.num_frames == count and folder.num_train == count - round(count / 11)
        assert report.scenes[name].start == first / 25
        np.testing.assert_allclose(
            read_audio(folder.path / "audio.wav"), whole[first * 640 : (first + count) * 640], atol=1e-4
        )
        assert (folder.path / "report.json").is_file()
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["scene_00", "scene_02"]
    assert any("scene_01" in warning and "no face" in warning for warning in report.warnings)
    assert any("scene_03" in warning and "0.8 s long" in warning for warning in report.warnings)
    with pytest.raises(UserError, match="`overwrite`"):
        process_video(video, tmp_path / "out", ProcessConfig(size=64, scene_cut="split"))


@needs_clips
def test_another_face_is_never_tracked_instead_of_the_persons(frames: Frames) -> None:
    """Another face approaches, stays alone for a while, and the person returns at another position."""
    other = [cv2.resize(image, (256, 256)) for image in decode(CLIPS / "german_anchor_20s.mp4")[:40]]
    tracker = LandmarkTracker.create(None)
    tracker.follower.expected_centre = np.array([1 / 6, 0.5])
    truth, faces = [], []
    for number in range(120):
        square = np.full((768, 768, 3), 90, np.uint8)
        strip = square[256:512]
        if number < 40:  # both faces, the other one approaching
            start = 512 - 6 * number
            strip[:, start : start + 256] = other[number]
            strip[:, :256] = frames[number]
        elif number < 80:  # only the other face, at the person's position
            start = max(278 - 20 * (number - 40), 0)
            strip[:, start : start + 256] = other[number - 40]
        else:  # both faces, the person at another position
            strip[:, :256] = other[number - 80]
            strip[:, 512:] = frames[number]
        faces.append(tracker.track(square, after_cut=number == 80))
        truth.append(0 if number < 40 else 2 if number >= 80 else None)
    seen = [int(face.landmarks[:, 0].mean() * 3) if face else None for face in faces]
    assert seen[:80] == truth[:80] and seen[82:] == truth[82:]
    assert tracker.num_frames_with_others > 60


@needs_clips
def test_a_single_face_tracker_drops_another_face(frames: Frames) -> None:
    """Another face replaces the person for a while; afterwards the tracker finds the person again."""
    other = [cv2.resize(image, (256, 256)) for image in decode(CLIPS / "german_anchor_20s.mp4")[:20]]
    tracker = LandmarkTracker.create(None, single_face=True)
    images = (*frames[:20], *other, *frames[40:60])
    found = [tracker.track(image, number in (20, 40)) is not None for number, image in enumerate(images)]
    assert found == 20 * [True] + 20 * [False] + 20 * [True]
