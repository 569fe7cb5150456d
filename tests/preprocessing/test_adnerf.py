"""Import of the AD-NeRF family's folders, against the demo subject's truth, and training from one."""

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

from dfa_nerfstudio.adnerf import cli
from dfa_nerfstudio.adnerf.adnerf_data import ADNeRFDataParserConfig
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.preprocessing.adnerf.convert import import_folder
from tests.preprocessing.adnerf_folders import FOCAL, FRAMES, SIZE, Flavour, Subject, film_subject, write_folder

SHORT_GAP, LONG_GAP = range(20, 25), range(50, 70)
NUM_TRAIN = FRAMES * 10 // 11


@pytest.fixture(scope="module")
def subject() -> Subject:
    return film_subject()


@pytest.fixture(scope="module")
def plain(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the manner of RAD-NeRF and SyncTalk."""
    return write_folder(tmp_path_factory.mktemp("plain") / "data", subject, Flavour(rate=44_100))


@pytest.fixture(scope="module")
def imported(plain: Path) -> DatasetFolder:
    return DatasetFolder.open(import_folder(plain))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def pose_errors(dataset: DatasetFolder, subject: Subject, rows: np.ndarray) -> tuple[float, float, float]:
    """Largest rotation error in degrees and largest error of the camera's place, after the similarity between the head
    spaces is taken out, and that similarity's scale."""
    truth, found = subject.motion.head_to_camera[rows], dataset.attributes.head_to_camera[rows].astype(np.float64)
    true_turn, turn = Rotation.from_matrix(truth[:, :3, :3]), Rotation.from_matrix(found[:, :3, :3])
    constant = (true_turn.inv() * turn).mean()
    angle = np.degrees(((true_turn * constant).inv() * turn).magnitude()).max()
    true_place, place = (np.linalg.inv(poses)[:, :3, 3] for poses in (truth, found))
    true_place, place = (true_place - true_place.mean(0)) @ constant.as_matrix(), place - place.mean(0)
    scale = np.sqrt((place**2).sum() / (true_place**2).sum())
    return float(angle), float(np.abs(scale * true_place - place).max()), float(scale)


def test_poses_are_the_folders_own_in_our_head_space(imported: DatasetFolder, subject: Subject) -> None:
    angle, distance, scale = pose_errors(imported, subject, np.arange(FRAMES))
    assert angle < 1e-3 and distance < 1e-4
    assert scale == pytest.approx(1, abs=0.03), "the outer eye corners are one unit apart"
    assert imported.meta["fl_x"] == pytest.approx(FOCAL * SIZE) and imported.size == (SIZE, SIZE)
    assert (imported.num_train, imported.num_frames) == (NUM_TRAIN, FRAMES)
    # transforms.json, poses and landmarks agree: what is seen lies where the front landmarks are projected
    attributes = imported.attributes
    camera = np.array([frame["transform_matrix"] for frame in imported.meta["frames"]])
    points = np.einsum("tki,tij->tkj", attributes.front_landmarks - camera[:, None, :3, 3], camera[:, :3, :3])
    seen = SIZE / 2 + imported.meta["fl_x"] * points[..., :2] / -points[..., 2:] * [1, -1]
    assert np.abs(seen - subject.landmarks).max() < 0.05
    mean = attributes.front_landmarks.mean(0)
    nose, chin, eyes = mean[30], mean[8], (mean[36] + mean[45]) / 2
    assert 0.1 < nose[2] - eyes[2] < 0.6 and chin[1] < nose[1] < eyes[1], "a face that looks at the camera"


def test_eyes_mouth_and_torso_follow_the_truth(imported: DatasetFolder, subject: Subject) -> None:
    attributes, truth = imported.attributes, subject.motion
    for eye in range(2):
        assert correlation(attributes.eye_opening[:, eye], truth.eye_opening[:, eye]) > 0.99
    assert attributes.blendshapes.shape == (FRAMES, 52)
    whole = truth.blinks[(truth.blinks[:, 2] < (FRAMES - 1) / 25)]
    assert len(attributes.blinks) == len(whole) > 2
    assert np.abs(attributes.blinks[:, 1] - whole[:, 1]).max() < 0.08
    assert correlation(attributes.mouth_opening, subject.mouth_opening) > 0.85
    for axis in range(2):
        assert correlation(attributes.torso_motion[:, axis], truth.torso_motion[:, axis]) > 0.98


def test_pictures_masks_background_and_sound_are_taken_over(
    imported: DatasetFolder, subject: Subject, plain: Path
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
    sound = read_audio(path / AUDIO)
    assert len(sound) == FRAMES * SAMPLE_RATE // 25
    assert correlation(sound, subject.sound[: len(sound)]) > 0.99


def test_frames_left_out_and_bundle_adjusted_poses(subject: Subject, tmp_path: Path) -> None:
    """In the manner of AD-NeRF and DFA-NeRF, with other names, masks as alpha, OpenFace's eyes and half the size."""
    flavour = Flavour("com_imgs", 8, "alpha", eyes="au.csv", bundle_adjusted=True, left_out=(*SHORT_GAP, *LONG_GAP))
    folder = write_folder(tmp_path / "data", subject, flavour)
    (folder / f"ori_imgs/{30:08d}.lms").unlink()  # the pose is there, the landmarks are not
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
    used = attributes.shot >= 0
    assert correlation(attributes.eye_opening[used, 0], subject.motion.eye_opening[used].mean(1)) > 0.99
    body = cv2.imread(str(dataset.path / "torso_masks/00077.png"), cv2.IMREAD_GRAYSCALE) / 255
    torso, neck, head = (subject.alphas[part][77] for part in ("torso", "neck", "head"))
    expected_body = cv2.resize((1 - (1 - torso) * (1 - neck)) * (1 - head), (80, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(body - expected_body).max() < 0.3 and np.abs(body - expected_body).mean() < 0.01


def test_pictures_of_another_size_that_are_not_square(subject: Subject, tmp_path: Path) -> None:
    """Half as large as when they were tracked and wider than high: the square about the middle is taken."""
    cut = 20
    folder = write_folder(tmp_path / "data", subject, Flavour(cut=cut, smaller=2, eyes=""))
    dataset = DatasetFolder.open(import_folder(folder))
    side = SIZE // 2 - cut
    assert dataset.size == (side, side) and dataset.meta["fl_x"] == pytest.approx(FOCAL * SIZE / 2)
    image = cv2.imread(str(dataset.path / "images/00030.jpg"))[:, :, ::-1].astype(float)
    square = subject.pictures[30, cut : SIZE - cut, cut : SIZE - cut]
    assert np.abs(image - cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)).mean() < 3
    seen = dataset.attributes.landmarks[:, LANDMARKS_68, :2]
    assert np.abs(seen - (subject.landmarks - cut) / 2).max() < 0.01
    angle, distance, _ = pose_errors(dataset, subject, np.arange(FRAMES))
    assert angle < 1e-3 and distance < 1e-4


def test_what_is_missing_is_found_anew(subject: Subject, tmp_path: Path) -> None:
    """Pictures, poses and sound alone: landmarks, eyes, masks and background are found as dfa-process finds them."""
    folder = write_folder(
        tmp_path / "data", subject, Flavour("ori_imgs", 6, "", background=False, eyes="", landmarks=False)
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


def test_an_import_is_made_again_only_when_a_source_is_newer(plain: Path, imported: DatasetFolder) -> None:
    made = (imported.path / "transforms.json").stat().st_mtime_ns
    assert import_folder(plain) == imported.path
    assert (imported.path / "transforms.json").stat().st_mtime_ns == made
    source = plain / "parsing/5.png"
    before = source.stat()
    try:
        os.utime(source, ns=(made + 10**9, made + 10**9))
        import_folder(plain)
        assert (imported.path / "transforms.json").stat().st_mtime_ns > made
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_ns_train_trains_from_it(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command that a user types. Whoever opens the folder later finds everything made."""
    dataset = tmp_path / "dataset"
    command = [Path(sys.executable).parent / "ns-train", "dfa-nerf-lite", "--data", plain]
    command += ["--output-dir", tmp_path / "runs", "--experiment-name", "test", "--timestamp", "run"]
    command += ["--vis", "tensorboard", "--max-num-iterations", "3"]
    command += ["adnerf-data", "--output", dataset, "--size", "48", "--effort", "0.01"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert list((tmp_path / "runs/test/dfa-nerf-lite/run/nerfstudio_models").glob("*.ckpt"))
    made = {path: path.stat().st_mtime_ns for path in dataset.iterdir()}

    parser = ADNeRFDataParserConfig(data=plain, output=dataset, size=48, effort=0.01).setup()
    held_out = parser.get_dataparser_outputs("val")
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in dataset.iterdir()} == made
    assert len(held_out.image_filenames) == FRAMES - NUM_TRAIN
    assert held_out.image_filenames[0] == dataset / f"images/{NUM_TRAIN:05d}.jpg"


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """The one line that dfa-import refuses its arguments with."""
    monkeypatch.setattr(sys, "argv", ["dfa-import", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ") and "\n" not in message
    return message


def test_broken_folders_are_one_line(subject: Subject, plain: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    folder = tmp_path / "data"
    shutil.copytree(plain, folder, ignore=shutil.ignore_patterns("dfa-nerf"))
    target = "dfa_nerfstudio.adnerf.prepare_dataset.train_attributes"
    monkeypatch.setattr(target, lambda *_: pytest.fail("was accepted"))

    def message_with(name: str, content: bytes | None) -> str:
        """What is said when a file is replaced or taken away."""
        whole = (folder / name).read_bytes()
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        try:
            message = refused(capsys, monkeypatch, folder)
        finally:
            (folder / name).write_bytes(whole)
        assert not list(folder.glob(".*")) and not (folder / "dfa-nerf").exists()
        return message

    def changed_transforms(**changes: object) -> bytes:
        return json.dumps(json.loads((folder / "transforms_train.json").read_text()) | changes).encode()

    def earlier_held_out_part() -> bytes:
        content = json.loads((folder / "transforms_val.json").read_text())
        for frame in content["frames"]:
            frame["aud_id"] = frame["img_id"] = frame["img_id"] - 1000
        return json.dumps(content).encode()

    def encoded(image: np.ndarray) -> bytes:
        return cv2.imencode(".png", image)[1].tobytes()

    picture = (folder / "gt_imgs/9.jpg").read_bytes()
    cases: list[tuple[str, bytes | None, str]] = [
        ("transforms_train.json", None, "no transforms_train.json"),
        ("transforms_train.json", b"{", "broken"),
        ("transforms_train.json", changed_transforms(cx=SIZE * 0.8), "principal point"),
        ("transforms_train.json", changed_transforms(focal_len=None), "broken"),
        ("transforms_val.json", earlier_held_out_part(), "do not all come after"),
        ("aud.wav", None, "aud.wav: missing"),
        ("aud.wav", b"RIFF", "aud.wav: not a readable audio"),
        ("gt_imgs/9.jpg", None, "no picture of frame 9"),
        ("gt_imgs/9.jpg", picture[:50], "9.jpg: no readable picture"),
        ("gt_imgs/9.jpg", encoded(np.zeros((SIZE, SIZE // 2, 3), np.uint8)), "9.jpg: 80x160"),
        ("parsing/7.png", None, "no 7.png"),
        ("parsing/7.png", encoded(np.full((SIZE, SIZE, 3), (255, 255, 0), np.uint8)), "no labels"),
        ("ori_imgs/3.lms", b"1 2\n3 4\n", "3.lms: not 68 landmarks"),
        ("bs.npy", b"\x93NUMPY", "bs.npy: unreadable"),
    ]
    for name, content, words in cases:
        assert words in message_with(name, content), (name, words)

    poses = json.loads((folder / "transforms_train.json").read_text())["frames"]
    for frame in poses:  # world to camera, as other programs write it
        frame["transform_matrix"] = np.linalg.inv(frame["transform_matrix"]).tolist()
    assert "poses put the face" in message_with("transforms_train.json", changed_transforms(frames=poses))
    (folder / "aside").write_text("a file")
    assert "--output" in refused(capsys, monkeypatch, folder, "--output", folder / "aside/dataset")
    assert "no such folder" in refused(capsys, monkeypatch, tmp_path / "nothing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    assert "holds other files" in refused(capsys, monkeypatch, folder, "--output", tmp_path / "mine")
    with pytest.raises(UserError, match="adnerf-data"):
        DatasetFolder.open(folder)
    with pytest.raises(UserError, match="no transforms_train"):
        import_folder(tmp_path / "mine")
