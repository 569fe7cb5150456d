"""Writes data folders of the AD-NeRF family from the demo subject, whose ground truth is known."""

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
from dfa_nerfstudio.demo.subject_motion import SubjectMotion, SubjectMotionConfig, make_motion
from dfa_nerfstudio.demo.subject_renderer import SubjectRenderer, _blend
from dfa_nerfstudio.demo.visemes import mouth_shape
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.rates import SAMPLE_RATE

FRAMES, SIZE, FOCAL = 120, 160, 2.0
LABELS = {"head": (255, 0, 0), "neck": (0, 255, 0), "torso": (0, 0, 255), "background": (255, 255, 255)}
"""Colours of `parsing/` as blue, green, red."""


@dataclass
class RenderedSubject:
    """Rendered frames of the demo subject with ground truth and tracked landmarks."""

    images: np.ndarray
    """Frames, [T S S 3], channels red, green, blue."""
    alphas: dict[str, np.ndarray]
    """Alpha of torso, neck and head, [T S S] in [0, 1], each composited over the ones before."""
    background: np.ndarray
    landmarks: np.ndarray
    """Landmarks found by mediapipe, [T 68 2] in pixels."""
    motion: SubjectMotion
    mouth_opening: np.ndarray
    audio: np.ndarray
    """Speech at 16 kHz."""


def render_subject() -> RenderedSubject:
    times = np.arange(FRAMES) / 25
    renderer = SubjectRenderer(load_portrait(), SIZE, FOCAL)
    speech = make_speech(FRAMES / 25, 5)
    opening, rounding = mouth_shape(speech.phonemes, times)
    motion = make_motion(SubjectMotionConfig(blink_rate=0.9), renderer.reference, times, 5)
    tracker, faces = LandmarkTracker.create(None), []
    images, alphas = [], {name: [] for name in ("torso", "neck", "head")}
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
        images.append(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
        larger = cv2.resize(images[-1], (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
        faces.append(tracker.track(np.ascontiguousarray(larger)))
    return RenderedSubject(
        images=np.stack(images),
        alphas={name: np.stack(values) for name, values in alphas.items()},
        background=np.round(np.clip(renderer._background, 0, 1) * 255).astype(np.uint8),
        landmarks=np.stack([face.landmarks for face in faces])[:, LANDMARKS_68, :2] * SIZE,
        motion=motion,
        mouth_opening=opening,
        audio=speech.samples,
    )


@dataclass
class FolderFormat:
    """Variant of a data folder."""

    images: str = "gt_imgs"
    digits: int = 0
    """Minimum number of digits of file names, with leading zeros."""
    masks: str = "parsing"
    """Kind of the masks: `parsing`, `alpha` or none."""
    background: bool = True
    eyes: str = "bs.npy"
    landmarks: bool = True
    bundle_adjusted: bool = False
    """Whether `_ba` files have the correct poses and the other files wrong ones."""
    missing_frames: tuple[int, ...] = ()
    """Frames that the transforms do not list."""
    rate: int = 16_000
    """Sample rate of the audio in Hz."""
    cut: int = 0
    """Number of rows cropped from the top and the bottom of every image."""
    downscale: int = 1
    """Factor by which the images are smaller than those the poses were estimated in."""


def write_folder(path: Path, subject: RenderedSubject, folder_format: FolderFormat) -> Path:
    """Writes a data folder with a head space of its own."""
    path.mkdir(parents=True)

    def name(folder: str, number: int, suffix: str) -> str:
        (path / folder).mkdir(exist_ok=True)
        return str(path / folder / f"{number:0{folder_format.digits}d}{suffix}")

    def write(file: str, image: np.ndarray) -> None:
        cropped = image[folder_format.cut : SIZE - folder_format.cut]
        size = SIZE // folder_format.downscale, len(cropped) // folder_format.downscale
        cv2.imwrite(file, cv2.resize(cropped, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 97])

    for number, image in enumerate(subject.images):
        write(name(folder_format.images, number, ".jpg"), image[:, :, ::-1])
        if folder_format.landmarks:
            np.savetxt(name("ori_imgs", number, ".lms"), subject.landmarks[number] - (0, folder_format.cut), "%f")
        torso, neck, head = (subject.alphas[part][number] for part in ("torso", "neck", "head"))
        if folder_format.masks == "parsing":
            parts = {"background": np.ones_like(head), "torso": torso, "neck": neck, "head": head}
            labels = np.zeros((SIZE, SIZE, 3), np.uint8)
            for part, alpha in parts.items():
                labels[alpha > 0.5] = LABELS[part]
            write(name("parsing", number, ".png"), labels)
        elif folder_format.masks == "alpha":
            body = 1 - (1 - torso) * (1 - neck)
            for part, alpha in (("torso_imgs", body), ("head_imgs", head)):
                cutout = np.dstack([image[:, :, ::-1], np.round(alpha * 255).astype(np.uint8)])
                cv2.imwrite(name(part, number, ".png"), cutout)
    if folder_format.background:
        write(str(path / "bc.jpg"), subject.background[:, :, ::-1])

    closed = 1 - subject.motion.eye_opening  # the eye on the image's left first
    if folder_format.eyes == "bs.npy":
        scores = np.random.default_rng(0).uniform(0, 0.2, (FRAMES, 52))
        scores[:, 9], scores[:, 10] = 0.1 + 0.6 * closed[:, 1], 0.1 + 0.6 * closed[:, 0]
        np.save(path / "bs.npy", scores.astype(np.float32))
    elif folder_format.eyes == "au.csv":
        write_action_units(path / "au.csv", closed.mean(1))

    cameras = to_their_space(subject.motion.head_to_camera)
    wrong = cameras.copy()
    wrong[:, :3, 3] += np.random.default_rng(1).normal(0, 0.5, (FRAMES, 3))
    num_train = FRAMES * 10 // 11
    for kind, poses in (("", wrong), ("_ba", cameras)) if folder_format.bundle_adjusted else (("", cameras),):
        for split, numbers in (("train", range(num_train)), ("val", range(num_train, FRAMES))):
            content = {
                "focal_len": FOCAL * SIZE,
                "cx": SIZE / 2,
                "cy": SIZE / 2 - folder_format.cut,
                "frames": [
                    {"img_id": number, "aud_id": number, "transform_matrix": poses[number].tolist()}
                    for number in numbers
                    if number not in folder_format.missing_frames
                ],
            }
            (path / f"transforms_{split}{kind}.json").write_text(json.dumps(content))

    audio = resample_poly(subject.audio, folder_format.rate // 50, SAMPLE_RATE // 50)
    with wave.open(str(path / "aud.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(folder_format.rate)
        file.writeframes(np.round(np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def to_their_space(head_to_camera: np.ndarray) -> np.ndarray:
    """Transforms from camera space to another head space, with other axes, origin and unit."""
    rotation = Rotation.from_euler("XYZ", (20, -15, 8), degrees=True).as_matrix()
    ours = np.linalg.inv(head_to_camera)
    theirs = np.tile(np.eye(4), (len(ours), 1, 1))
    theirs[:, :3, :3] = rotation @ ours[:, :3, :3]
    theirs[:, :3, 3] = 0.43 * ours[:, :3, 3] @ rotation.T + (0.05, -0.02, 0.3)
    return theirs


def write_action_units(path: Path, closed: np.ndarray) -> None:
    """Writes OpenFace's table for a video of 30 frames/s that shows two faces, one of them for a part of the time."""
    lines = ["frame, face_id, timestamp, confidence, success, AU45_r"]
    for number, time in enumerate(np.arange(0, len(closed) / 25, 1 / 30)):
        value = 3 * np.interp(25 * time, np.arange(len(closed)), closed)
        lost = number % 40 == 7
        lines.append(
            f"{number + 1}, 0, {time:.3f}, {0.2 if lost else 0.98}, {int(not lost)}, {0 if lost else value:.2f}"
        )
        if number % 3:
            lines.append(f"{number + 1}, 1, {time:.3f}, 0.9, 1, 2.50")
    path.write_text("\n".join(lines) + "\n")
