"""Who is used of several people, and which frames do not show the mouth or the face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfa_nerfstudio.attributes.lips.voice_match import VoiceMatch
from dfa_nerfstudio.face.landmark_tracker import FaceMeshTracker
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.frame_rows import TemporaryFiles
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from dfa_nerfstudio.preprocessing.segmentation.occlusion import FacePatches
from dfa_nerfstudio.preprocessing.video.crop import FaceDetections
from dfa_nerfstudio.preprocessing.video.people import choose_person
from tests.preprocessing.conftest import REAL_CLIP, decode, write_clip

SECONDS = 10


def frames_of(path: Path, size: int) -> list[np.ndarray]:
    images = (to_rgb(frame) for frame, _ in zip(Video(path).frames(), range(25 * SECONDS), strict=False))
    return [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images]


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A video of two people side by side, the left one larger, and the voice of each."""
    if not REAL_CLIP.is_file():
        pytest.skip("the real clips (../shared/clips) are not here")
    folder, voices = tmp_path_factory.mktemp("two"), {}
    clips = {"left": REAL_CLIP, "right": REAL_CLIP.with_name("german_anchor_20s.mp4")}
    for place, clip in clips.items():
        voices[place] = folder / f"{place}.wav"
        write_wav(voices[place], read_audio(clip)[: 16_000 * SECONDS])
    left, right = frames_of(clips["left"], 256), frames_of(clips["right"], 200)
    images = [
        np.hstack([one, cv2.copyMakeBorder(other, 56, 0, 0, 0, cv2.BORDER_REPLICATE)])
        for one, other in zip(left, right, strict=True)
    ]
    return write_clip(folder / "two.mkv", images), voices


def test_the_one_whose_lips_follow_the_voice_is_used(two_people: tuple[Path, dict[str, Path]]) -> None:
    video, detections = Video(two_people[0]), FaceDetections()
    for number, frame in enumerate(video.frames()):
        if number % 25 == 0:
            detections.add(number, to_rgb(frame))
    scene, voices = range(25 * SECONDS), two_people[1]
    middle = {"left": 128, "right": 356}

    def chosen(wanted, voice: Path):
        return choose_person(detections.boxes, wanted, video, scene, voice)

    for place, voice in voices.items():
        person = chosen("speaking", voice)
        assert abs(np.median(person.boxes[:, 0]) - middle[place]) < 60
        assert f"the lips of the one on the {place}" in person.note
    for wanted, place in (("largest", "left"), ("left", "left"), ("right", "right")):
        assert abs(np.median(chosen(wanted, voices["right"]).boxes[:, 0]) - middle[place]) < 60
    noise = voices["left"].with_name("noise.wav")
    write_wav(noise, np.random.default_rng(0).normal(0, 0.1, 16_000 * SECONDS).astype(np.float32))
    person = chosen("speaking", noise)
    assert "fits nobody's lips" in person.note and abs(np.median(person.boxes[:, 0]) - middle["left"]) < 60


def test_parts_with_a_foreign_voice_are_named() -> None:
    rng = np.random.default_rng(0)
    seen = np.convolve(rng.normal(size=1500), np.ones(5), "same")
    predicted = np.roll(seen, 2) + rng.normal(0, 3, 1500)  # two frames late
    found = rng.random(1500) > 0.05
    good = VoiceMatch.of(predicted, seen, found)
    assert good.fits and not good.foreign and good.warning() is None and good.correlation > 0.5
    dubbed = predicted.copy()
    dubbed[500:1000] = rng.permutation(dubbed[500:1000])  # 20 s to 40 s
    (start, end), *others = VoiceMatch.of(dubbed, seen, found).foreign
    assert not others and abs(start - 20) <= 5 and abs(end - 40) <= 5
    assert "does not fit the lips (correlation" in str(VoiceMatch.of(rng.permutation(predicted), seen, found).warning())
    assert VoiceMatch.of(predicted[:50], seen[:50], found[:50]).fits, "too short to tell"


@pytest.fixture(scope="module")
def tracked_images(two_people: tuple[Path, dict[str, Path]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images of one person, with landmarks in image sides."""
    tracker, tracked = FaceMeshTracker(1), []
    for frame in Video(two_people[0]).frames():
        image = to_rgb(frame)[56:, 256:].copy()
        face = tracker.track(image)
        assert face is not None
        tracked.append((image, face.landmarks))
    return tracked


@pytest.mark.parametrize("region", ["mouth", "eyes"])
@pytest.mark.parametrize(
    "colour", [(196, 150, 125), (30, 30, 35), (225, 225, 220)], ids=["hand", "microphone", "paper"]
)
def test_covered_mouth_and_eyes_are_found(
    tracked_images: list[tuple[np.ndarray, np.ndarray]], colour: tuple[int, int, int], region: str, tmp_path: Path
) -> None:
    tracker, patches = FaceMeshTracker(1), FacePatches(len(tracked_images), TemporaryFiles(tmp_path))
    truth = np.zeros(len(tracked_images), bool)
    truth[80:140] = True
    points, height = ([13, 14], 0.6) if region == "mouth" else ([33, 263], 0.4)
    for (image, landmarks), covered in zip(tracked_images, truth, strict=True):
        if not covered:
            patches.add(image, landmarks)
            continue
        drawn = image.copy()
        middle = landmarks[points, :2].mean(0) * 200
        axes = landmarks[[33, 263], 0].ptp() * 200 * np.array([0.75, height])
        cv2.ellipse(drawn, middle.astype(int), axes.astype(int), 10, 0, 360, colour, -1, cv2.LINE_AA)
        face = tracker.track(drawn)
        patches.add(drawn, None if face is None else face.landmarks)
    marked = patches.covered(np.arange(len(truth)) < 220)[("mouth", "eyes").index(region)]
    assert (marked & truth).sum() >= 0.95 * truth.sum()
    assert (marked & truth).sum() >= 0.9 * marked.sum()


def test_a_face_that_disappears_at_the_end_is_left_out(real_clip: Path, tmp_path: Path) -> None:
    images = [cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA) for image in decode(real_clip)[:75]]
    for number in range(1, 53):  # a sheet of paper rises before the face
        covered = images[74].copy()
        covered[192 - min(24 * number, 192) :] = 150
        images.append(covered)
    video = write_clip(tmp_path / "sheet.mkv", images, audio=read_audio(real_clip)[: 127 * 640])
    report = process_video(video, tmp_path / "out", ProcessConfig(size=64))
    assert report.num_frames == 76 and report.num_train == 69
    assert any("last 2.0 s show no face and are left out" in warning for warning in report.warnings)
