"""Import of data folders of the AD-NeRF family against the demo subject's ground truth, and training from one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.adnerf.adnerf_data import ADNeRFDataParserConfig
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.preprocessing.adnerf.convert import import_folder
from tests.pipeline_fixture import refused
from tests.preprocessing.adnerf_folders import (
    FOCAL,
    FRAMES,
    SIZE,
    FolderFormat,
    RenderedSubject,
    render_subject,
    write_folder,
)

SHORT_GAP, LONG_GAP = range(20, 25), range(50, 70)
NUM_TRAIN = FRAMES * 10 // 11


@pytest.fixture(scope="module")
def subject() -> RenderedSubject:
    return render_subject()


@pytest.fixture(scope="module")
def plain(subject: RenderedSubject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the format of RAD-NeRF and SyncTalk."""
    return write_folder(tmp_path_factory.mktemp("plain") / "data", subject, FolderFormat(rate=44_100))


@pytest.fixture(scope="module")
def imported(plain: Path) -> DatasetFolder:
    return DatasetFolder.open(import_folder(plain))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def pose_errors(dataset: DatasetFolder, subject: RenderedSubject, rows: np.ndarray) -> tuple[float, float, float]:
    """Largest rotation error in degrees and largest camera position error after alignment of the head spaces by a
    similarity, and that similarity's scale."""
    truth, found = subject.motion.head_to_camera[rows], dataset.attributes.head_to_camera[rows].astype(np.float64)
    true_rotation, rotation = Rotation.from_matrix(truth[:, :3, :3]), Rotation.from_matrix(found[:, :3, :3])
    alignment = (true_rotation.inv() * rotation).mean()
    angle = np.degrees(((true_rotation * alignment).inv() * rotation).magnitude()).max()
    true_position, position = (np.linalg.inv(poses)[:, :3, 3] for poses in (truth, found))
    true_position = (true_position - true_position.mean(0)) @ alignment.as_matrix()
    position = position - position.mean(0)
    scale = np.sqrt((position**2).sum() / (true_position**2).sum())
    return float(angle), float(np.abs(scale * true_position - position).max()), float(scale)


def test_poses_are_transformed_to_our_head_space_without_error(
    imported: DatasetFolder, subject: RenderedSubject
) -> None:
    angle, distance, scale = pose_errors(imported, subject, np.arange(FRAMES))
    assert angle < 1e-3 and distance < 1e-4
    assert scale == pytest.approx(1, abs=0.03), "the outer eye corners are one unit apart"
    assert imported.meta["fl_x"] == pytest.approx(FOCAL * SIZE) and imported.size == (SIZE, SIZE)
    assert (imported.num_train, imported.num_frames) == (NUM_TRAIN, FRAMES)
    # transforms.json, poses and landmarks agree: projected front landmarks lie on the observed ones
    attributes = imported.attributes
    camera = np.array([frame["transform_matrix"] for frame in imported.meta["frames"]])
    points = np.einsum("tki,tij->tkj", attributes.front_landmarks - camera[:, None, :3, 3], camera[:, :3, :3])
    projected = SIZE / 2 + imported.meta["fl_x"] * points[..., :2] / -points[..., 2:] * [1, -1]
    assert np.abs(projected - subject.landmarks).max() < 0.05
    mean = attributes.front_landmarks.mean(0)
    nose, chin, eyes = mean[30], mean[8], (mean[36] + mean[45]) / 2
    assert 0.1 < nose[2] - eyes[2] < 0.6 and chin[1] < nose[1] < eyes[1], "the mean face does not face the camera"


def test_eyes_mouth_and_torso_correlate_with_the_ground_truth(
    imported: DatasetFolder, subject: RenderedSubject
) -> None:
    attributes, truth = imported.attributes, subject.motion
    for eye in range(2):
        assert correlation(attributes.eye_opening[:, eye], truth.eye_opening[:, eye]) > 0.99
    assert attributes.blendshapes.shape == (FRAMES, 52)
    complete = truth.blinks[(truth.blinks[:, 2] < (FRAMES - 1) / 25)]
    assert len(attributes.blinks) == len(complete) > 2
    assert np.abs(attributes.blinks[:, 1] - complete[:, 1]).max() < 0.08
    assert correlation(attributes.mouth_opening, subject.mouth_opening) > 0.85
    for axis in range(2):
        assert correlation(attributes.torso_motion[:, axis], truth.torso_motion[:, axis]) > 0.98


def test_images_masks_background_and_audio_are_imported(
    imported: DatasetFolder, subject: RenderedSubject, plain: Path
) -> None:
    path = imported.path
    assert (path / "images/00017.jpg").read_bytes() == (plain / "gt_imgs/17.jpg").read_bytes()
    for row in (0, 77, FRAMES - 1):
        head, neck, torso = (subject.alphas[part][row] > 0.5 for part in ("head", "neck", "torso"))
        person = cv2.imread(str(path / f"masks/{row:05d}.png"), cv2.IMREAD_GRAYSCALE)
        body = cv2.imread(str(path / f"torso_masks/{row:05d}.png"), cv2.IMREAD_GRAYSCALE)
        assert (person == 255 * (head | neck | torso)).all() and (body == 255 * ((neck | torso) & ~head)).all()
    background = cv2.imread(str(path / "background.png"))[:, :, ::-1]
    assert np.abs(background.astype(int) - subject.background).mean() < 3
    audio = read_audio(path / AUDIO)
    assert len(audio) == FRAMES * SAMPLE_RATE // 25
    assert correlation(audio, subject.audio[: len(audio)]) > 0.99


def test_missing_frames_and_bundle_adjusted_poses(subject: RenderedSubject, tmp_path: Path) -> None:
    """In the format of AD-NeRF and DFA-NeRF: other names, masks as alpha, OpenFace's action units; at half the size."""
    folder_format = FolderFormat(
        "com_imgs", 8, "alpha", eyes="au.csv", bundle_adjusted=True, missing_frames=(*SHORT_GAP, *LONG_GAP)
    )
    folder = write_folder(tmp_path / "data", subject, folder_format)
    (folder / f"ori_imgs/{30:08d}.lms").unlink()  # a frame with a pose and without landmarks
    for number in LONG_GAP:
        (folder / f"com_imgs/{number:08d}.jpg").unlink()
    dataset = DatasetFolder.open(import_folder(folder, tmp_path / "dataset", size=80))
    attributes = dataset.attributes
    assert dataset.size == (80, 80) and (dataset.num_train, dataset.num_frames) == (NUM_TRAIN, FRAMES)
    assert not (folder / "dfa-nerf").exists()
    expected = np.zeros(FRAMES, int)
    expected[LONG_GAP], expected[LONG_GAP.stop :] = -1, 1
    assert (attributes.shot == expected).all()
    missing = (*SHORT_GAP, 30, *LONG_GAP)
    assert (np.flatnonzero(~attributes.face_found) == missing).all()
    angle, distance, _ = pose_errors(dataset, subject, np.setdiff1d(np.arange(FRAMES), [*SHORT_GAP, *LONG_GAP]))
    assert angle < 1e-3 and distance < 1e-4, "the poses before bundle adjustment are off by half a unit"
    valid = attributes.shot >= 0
    assert correlation(attributes.eye_opening[valid, 0], subject.motion.eye_opening[valid].mean(1)) > 0.99
    body = cv2.imread(str(dataset.path / "torso_masks/00077.png"), cv2.IMREAD_GRAYSCALE) / 255
    torso, neck, head = (subject.alphas[part][77] for part in ("torso", "neck", "head"))
    expected_body = cv2.resize((1 - (1 - torso) * (1 - neck)) * (1 - head), (80, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(body - expected_body).max() < 0.3 and np.abs(body - expected_body).mean() < 0.01


def test_non_square_images_of_another_size_are_cropped(subject: RenderedSubject, tmp_path: Path) -> None:
    """The images are half as large as those the poses were estimated in, and wider than high."""
    cut = 20
    folder = write_folder(tmp_path / "data", subject, FolderFormat(cut=cut, downscale=2, eyes=""))
    dataset = DatasetFolder.open(import_folder(folder))
    side = SIZE // 2 - cut
    assert dataset.size == (side, side) and dataset.meta["fl_x"] == pytest.approx(FOCAL * SIZE / 2)
    image = cv2.imread(str(dataset.path / "images/00030.jpg"))[:, :, ::-1].astype(float)
    square = subject.images[30, cut : SIZE - cut, cut : SIZE - cut]
    assert np.abs(image - cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)).mean() < 3
    landmarks = dataset.attributes.landmarks[:, LANDMARKS_68, :2]
    assert np.abs(landmarks - (subject.landmarks - cut) / 2).max() < 0.01
    angle, distance, _ = pose_errors(dataset, subject, np.arange(FRAMES))
    assert angle < 1e-3 and distance < 1e-4


def test_missing_landmarks_eyes_masks_and_background_are_computed(subject: RenderedSubject, tmp_path: Path) -> None:
    """From a folder with images, poses and audio alone, by the methods of dfa-process."""
    folder = write_folder(
        tmp_path / "data", subject, FolderFormat("ori_imgs", 6, "", background=False, eyes="", landmarks=False)
    )
    dataset = DatasetFolder.open(import_folder(folder, size=96))
    angle, distance, scale = pose_errors(dataset, subject, np.arange(FRAMES))
    assert angle < 1e-3 and distance < 1e-4 and scale == pytest.approx(1, abs=0.03)
    for eye in range(2):
        assert correlation(dataset.attributes.eye_opening[:, eye], subject.motion.eye_opening[:, eye]) > 0.9
    person = cv2.imread(str(dataset.path / "masks/00077.png"), cv2.IMREAD_GRAYSCALE) > 127
    torso, neck, head = (
        cv2.resize(subject.alphas[part][77], (96, 96), interpolation=cv2.INTER_AREA) > 0.5
        for part in ("torso", "neck", "head")
    )
    true = torso | neck | head
    assert (person & true).sum() / (person | true).sum() > 0.9


def test_an_import_is_repeated_only_if_a_source_file_is_newer(plain: Path, imported: DatasetFolder) -> None:
    mtime = (imported.path / "transforms.json").stat().st_mtime_ns
    assert import_folder(plain) == imported.path
    assert (imported.path / "transforms.json").stat().st_mtime_ns == mtime
    source = plain / "parsing/5.png"
    before = source.stat()
    try:
        os.utime(source, ns=(mtime + 10**9, mtime + 10**9))
        import_folder(plain)
        assert (imported.path / "transforms.json").stat().st_mtime_ns > mtime
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_ns_train_trains_from_a_data_folder(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the user's command. When the folder is opened again, nothing is computed again."""
    dataset = tmp_path / "dataset"
    command = [Path(sys.executable).parent / "ns-train", "dfa-nerf-lite", "--data", plain]
    command += ["--output-dir", tmp_path / "runs", "--experiment-name", "test", "--timestamp", "run"]
    command += ["--vis", "tensorboard", "--max-num-iterations", "3"]
    command += ["adnerf-data", "--output", dataset, "--size", "48", "--step-multiplier", "0.01"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert list((tmp_path / "runs/test/dfa-nerf-lite/run/nerfstudio_models").glob("*.ckpt"))
    mtimes = {path: path.stat().st_mtime_ns for path in dataset.iterdir()}

    parser = ADNeRFDataParserConfig(data=plain, output=dataset, size=48, step_multiplier=0.01).setup()
    held_out = parser.get_dataparser_outputs("val")
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in dataset.iterdir()} == mtimes
    assert len(held_out.image_filenames) == FRAMES - NUM_TRAIN
    assert held_out.image_filenames[0] == dataset / f"images/{NUM_TRAIN:05d}.jpg"


def test_damaged_folders_are_reported_in_one_line(
    subject: RenderedSubject, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(plain, folder, ignore=shutil.ignore_patterns("dfa-nerf"))
    target = "dfa_nerfstudio.adnerf.prepare_dataset.train_attributes"
    monkeypatch.setattr(target, lambda *_: pytest.fail("the folder was accepted"))

    def message_with(name: str, content: bytes | None) -> str:
        """The error when a file is replaced or deleted."""
        original = (folder / name).read_bytes()
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        try:
            message = refused("dfa-import", folder)
        finally:
            (folder / name).write_bytes(original)
        assert not list(folder.glob(".*")) and not (folder / "dfa-nerf").exists()
        return message

    def changed_transforms(**changes: object) -> bytes:
        return json.dumps(json.loads((folder / "transforms_train.json").read_text()) | changes).encode()

    def later_training_part() -> bytes:
        content = json.loads((folder / "transforms_train.json").read_text())
        for frame in content["frames"]:
            frame["aud_id"] = frame["img_id"] = frame["img_id"] + 1000
        return json.dumps(content).encode()

    def encoded(image: np.ndarray) -> bytes:
        return cv2.imencode(".png", image)[1].tobytes()

    image = (folder / "gt_imgs/9.jpg").read_bytes()
    cases: list[tuple[str, bytes | None, str]] = [
        ("transforms_train.json", None, "no transforms_train.json"),
        ("transforms_train.json", b"{", "damaged"),
        ("transforms_train.json", changed_transforms(cx=SIZE * 0.8), "principal point"),
        ("transforms_train.json", changed_transforms(focal_len=None), "damaged"),
        ("transforms_train.json", later_training_part(), "do not all come after"),
        ("aud.wav", None, "aud.wav: missing"),
        ("aud.wav", b"RIFF", "aud.wav: not a readable audio"),
        ("gt_imgs/9.jpg", None, "no image of frame 9"),
        ("gt_imgs/9.jpg", image[:50], "9.jpg: no readable image"),
        ("gt_imgs/9.jpg", encoded(np.zeros((SIZE, SIZE // 2, 3), np.uint8)), "9.jpg: 80x160"),
        ("parsing/7.png", None, "no 7.png"),
        ("parsing/7.png", encoded(np.full((SIZE, SIZE, 3), (255, 255, 0), np.uint8)), "no labels"),
        ("ori_imgs/3.lms", b"1 2\n3 4\n", "3.lms: not 68 rows"),
        ("bs.npy", b"\x93NUMPY", "bs.npy: unreadable"),
    ]
    for name, content, words in cases:
        assert words in message_with(name, content), (name, words)

    poses = json.loads((folder / "transforms_train.json").read_text())["frames"]
    for frame in poses:  # world to camera, the convention of other programs
        frame["transform_matrix"] = np.linalg.inv(frame["transform_matrix"]).tolist()
    assert "poses put the face" in message_with("transforms_train.json", changed_transforms(frames=poses))
    (folder / "a_file").write_text("a file")
    assert "cannot be written" in refused("dfa-import", folder, "--output", folder / "a_file/dataset")
    assert "no such folder" in refused("dfa-import", tmp_path / "nothing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    assert "contains other files" in refused("dfa-import", folder, "--output", tmp_path / "mine")
    with pytest.raises(UserError, match="adnerf-data"):
        DatasetFolder.open(folder)
    with pytest.raises(UserError, match="no transforms_train"):
        import_folder(tmp_path / "mine")
