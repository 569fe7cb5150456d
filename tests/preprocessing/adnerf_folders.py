"""Data folders of the AD-NeRF family, written from the demo subject, whose truth is known."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import resample_poly
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.demo.portrait import load_portrait
from dfa_nerfstudio.demo.speech import make_speech
from dfa_nerfstudio.demo.subject_motion import Motion, MotionConfig, make_motion
from dfa_nerfstudio.demo.subject_renderer import Renderer, _blend
from dfa_nerfstudio.demo.visemes import mouth_shape
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.rates import SAMPLE_RATE

FRAMES, SIZE, FOCAL = 120, 160, 2.0
LABELS = {"head": (255, 0, 0), "neck": (0, 255, 0), "torso": (0, 0, 255), "background": (255, 255, 255)}
"""Blue, green, red."""


@dataclass
class Subject:
    """The demo subject, filmed and tracked."""

    pictures: np.ndarray
    """[T S S 3], red first."""
    alphas: dict[str, np.ndarray]
    """[T S S] in [0, 1] of torso, neck and head, each over the ones before."""
    background: np.ndarray
    landmarks: np.ndarray
    """[T 68 2] in pixels, found by mediapipe."""
    motion: Motion
    mouth_opening: np.ndarray
    sound: np.ndarray
    """16 kHz."""


def film_subject() -> Subject:
    times = np.arange(FRAMES) / 25
    renderer = Renderer(load_portrait(), SIZE, FOCAL)
    speech = make_speech(FRAMES / 25, 5)
    opening, rounding = mouth_shape(speech.phonemes, times)
    motion = make_motion(MotionConfig(blink_rate=0.9), renderer.reference, times, 5)
    tracker, faces = LandmarkTracker.create(None), []
    pictures, alphas = [], {name: [] for name in ("torso", "neck", "head")}
    for row in range(FRAMES):
        image = renderer._background.copy()
        torso = renderer._torso_matrix(motion.torso_motion[row])
        rigid = motion.head_to_camera[row] @ np.linalg.inv(renderer.reference)
        texture = renderer.face.texture(opening[row], rounding[row], motion.eye_opening[row])
        layers = {
            "torso": renderer._torso(torso),
            "neck": renderer._neck(torso, rigid),
            "head": renderer._head(texture, rigid),
        }
        for name, (layer, window) in layers.items():
            _blend(image, layer, window)
            alpha = np.zeros((SIZE, SIZE), np.float32)
            alpha[window] = layer[..., 3]
            alphas[name].append(alpha)
        pictures.append(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
        larger = cv2.resize(pictures[-1], (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
        faces.append(tracker.find(np.ascontiguousarray(larger)))
    return Subject(
        pictures=np.stack(pictures),
        alphas={name: np.stack(values) for name, values in alphas.items()},
        background=np.round(np.clip(renderer._background, 0, 1) * 255).astype(np.uint8),
        landmarks=np.stack([face.landmarks for face in faces])[:, LANDMARKS_68, :2] * SIZE,
        motion=motion,
        mouth_opening=opening,
        sound=speech.samples,
    )


@dataclass
class Flavour:
    """How a folder differs from the others of the family."""

    pictures: str = "gt_imgs"
    digits: int = 0
    """Leading zeros up to so many digits."""
    masks: str = "parsing"
    """`parsing`, `alpha` or nothing."""
    background: bool = True
    eyes: str = "bs.npy"
    landmarks: bool = True
    bundle_adjusted: bool = False
    """Right poses in `_ba`, wrong ones beside them."""
    left_out: tuple[int, ...] = ()
    """Frames missing from the transforms."""
    rate: int = 16_000
    """Of the sound."""
    cut: int = 0
    """Rows taken off every picture above and below."""
    smaller: int = 1
    """How many times smaller the pictures are than when they were tracked."""


def write_folder(path: Path, subject: Subject, flavour: Flavour) -> Path:
    """Writes a folder; its head space is another one than ours."""
    path.mkdir(parents=True)

    def name(folder: str, number: int, suffix: str) -> str:
        (path / folder).mkdir(exist_ok=True)
        return str(path / folder / f"{number:0{flavour.digits}d}{suffix}")

    def write(file: str, image: np.ndarray) -> None:
        shown = image[flavour.cut : SIZE - flavour.cut]
        size = SIZE // flavour.smaller, len(shown) // flavour.smaller
        cv2.imwrite(file, cv2.resize(shown, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 97])

    for number, picture in enumerate(subject.pictures):
        write(name(flavour.pictures, number, ".jpg"), picture[:, :, ::-1])
        if flavour.landmarks:
            np.savetxt(name("ori_imgs", number, ".lms"), subject.landmarks[number] - (0, flavour.cut), "%f")
        torso, neck, head = (subject.alphas[part][number] for part in ("torso", "neck", "head"))
        if flavour.masks == "parsing":
            parts = {"background": np.ones_like(head), "torso": torso, "neck": neck, "head": head}
            labels = np.zeros((SIZE, SIZE, 3), np.uint8)
            for part, alpha in parts.items():
                labels[alpha > 0.5] = LABELS[part]
            write(name("parsing", number, ".png"), labels)
        elif flavour.masks == "alpha":
            body = 1 - (1 - torso) * (1 - neck)
            for part, alpha in (("torso_imgs", body), ("head_imgs", head)):
                cutout = np.dstack([picture[:, :, ::-1], np.round(alpha * 255).astype(np.uint8)])
                cv2.imwrite(name(part, number, ".png"), cutout)
    if flavour.background:
        write(str(path / "bc.jpg"), subject.background[:, :, ::-1])

    closed = 1 - subject.motion.eye_opening  # the eye on the image's left first
    if flavour.eyes == "bs.npy":
        scores = np.random.default_rng(0).uniform(0, 0.2, (FRAMES, 52))
        scores[:, 9], scores[:, 10] = 0.1 + 0.6 * closed[:, 1], 0.1 + 0.6 * closed[:, 0]
        np.save(path / "bs.npy", scores.astype(np.float32))
    elif flavour.eyes == "au.csv":
        rows = [f"{number + 1}, {number / 25:.3f}, {3 * closed[number].mean():.2f}" for number in range(FRAMES)]
        (path / "au.csv").write_text("\n".join(["frame, timestamp, AU45_r", *rows]) + "\n")

    cameras = to_their_space(subject.motion.head_to_camera)
    shaken = cameras.copy()
    shaken[:, :3, 3] += np.random.default_rng(1).normal(0, 0.5, (FRAMES, 3))
    num_train = FRAMES * 10 // 11
    for kind, poses in (("", shaken), ("_ba", cameras)) if flavour.bundle_adjusted else (("", cameras),):
        for split, numbers in (("train", range(num_train)), ("val", range(num_train, FRAMES))):
            content = {
                "focal_len": FOCAL * SIZE,
                "cx": SIZE / 2,
                "cy": SIZE / 2 - flavour.cut,
                "frames": [
                    {"img_id": number, "aud_id": number, "transform_matrix": poses[number].tolist()}
                    for number in numbers
                    if number not in flavour.left_out
                ],
            }
            (path / f"transforms_{split}{kind}.json").write_text(json.dumps(content))

    sound = resample_poly(subject.sound, flavour.rate // 50, SAMPLE_RATE // 50)
    with wave.open(str(path / "aud.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(flavour.rate)
        file.writeframes(np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def to_their_space(head_to_camera: np.ndarray) -> np.ndarray:
    """Camera to another head space: other axes, another origin, another unit."""
    turn = Rotation.from_euler("XYZ", (20, -15, 8), degrees=True).as_matrix()
    ours = np.linalg.inv(head_to_camera)
    theirs = np.tile(np.eye(4), (len(ours), 1, 1))
    theirs[:, :3, :3] = turn @ ours[:, :3, :3]
    theirs[:, :3, 3] = 0.43 * ours[:, :3, 3] @ turn.T + (0.05, -0.02, 0.3)
    return theirs
