"""From a video to a dataset folder.

Held out means held out: crop, head shape, focal length, morphable model, eye calibration, torso reference and
background are learnt from training frames. On the frames after them only pose, torso motion, eye opening and the like
are measured, with what was learnt. Smoothing and interpolation never reach over the border.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.audio import read_audio, write_wav
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, SAMPLE_RATE, ClipAttributes, DatasetFolder
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.report import Report

LEAST_SECONDS = 2.0
LEAST_FACES = 0.5
"""Part of the frames in which the face must be found, in the training and in the held-out part."""
TRACKING_SIDE = 640
"""Landmarks are found at the source's own resolution, but at no more than this."""
CHUNK = 32
"""Frames in memory at a time."""
BACKGROUND_SAMPLES = 120
"""Training frames that the background is taken from."""


@dataclass
class ProcessConfig:
    """How a video is turned into a dataset folder."""

    size: int = 256
    """Side of the square images in pixels; even, at least 32."""
    held_out: float = 1 / 11
    """The last part of the frames, kept for evaluation."""
    expressions: int = 16
    """Number of expression coefficients, K."""
    smoothing: int = 7
    """Window in frames that head pose and torso motion are smoothed over; 1 for none."""
    overwrite: bool = False
    """Replace a dataset that is there already."""

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 2:
            raise UserError(f"--size {self.size}: give an even number of at least 32")
        if not 0 < self.held_out < 0.5:
            raise UserError(f"--held-out {self.held_out}: give a part between 0 and 0.5, for example 0.09")
        if self.expressions < 1 or self.smoothing < 1 or self.smoothing % 2 == 0:
            raise UserError("--expressions must be at least 1, --smoothing an odd number")


def process_video(video: Path, output: Path, config: ProcessConfig, console: Console | None = None) -> Report:
    """Turns a video of one person talking into a dataset folder.

    Args:
        video: any file that PyAV reads, with sound.
        output: the folder to make; it appears whole or not at all.
        config: options.
        console: where progress is shown; a quiet one shows nothing.

    Raises:
        UserError: if the video is of no use (no picture, sound or face, too short, silent), or the output exists or
            cannot be written.
    """
    _check_output(output, config.overwrite)
    stages = _Stages(console or Console(quiet=True), Report(source=video.name, size=config.size))
    try:
        with written_whole(output) as partial, stages.progress:
            partial.mkdir()
            _process(video, partial, config, stages)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise UserError(f"{output}: cannot be written ({reason})") from None
    return stages.report


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir() and any(output.iterdir()):
        if not (output / dataset_folder.TRANSFORMS).is_file():
            raise UserError(f"{output}: holds other files; give a new or empty folder")
        if not overwrite:
            raise UserError(f"{output}: is a dataset already; replace it with --overwrite, or give another folder")
    elif output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; give a folder")


class _Stages:
    """Progress bars and timings."""

    def __init__(self, console: Console, report: Report) -> None:
        self.report = report
        columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console)

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Times a stage; yields a function to call with the number of steps that are done."""
        task = self.progress.add_task(name, total=total)
        start = time.perf_counter()
        yield lambda steps: self.progress.advance(task, steps)
        done = self.progress.tasks[task].completed or 1
        self.progress.update(task, total=done, completed=done)
        self.report.seconds[name] = round(time.perf_counter() - start, 2)


@dataclass
class _Tracked:
    """What the pass over the frames leaves in memory."""

    landmarks: Float[np.ndarray, "T 478 3"]
    """In image sides, lost ones interpolated."""
    found: Bool[np.ndarray, " T"]
    mean_alpha: Float[np.ndarray, "S S"]
    """Over training frames, in [0, 1]."""


def _process(video_path: Path, folder: Path, config: ProcessConfig, stages: _Stages) -> None:
    from dfa_nerfstudio.preprocessing.crop import head_and_shoulders
    from dfa_nerfstudio.preprocessing.mfcc import mfcc
    from dfa_nerfstudio.preprocessing.video import Video

    report = stages.report
    video = Video(video_path)
    with stages.stage("sound"):
        audio = read_audio(video_path)
        if np.abs(audio).max() < 1e-4:
            raise UserError(f"{video_path}: its sound is silent throughout; a talking head needs speech")
    survey, frames, (width, height) = _survey(video, stages)
    if frames < LEAST_SECONDS * FRAME_RATE:
        raise UserError(
            f"{video_path}: only {frames / FRAME_RATE:.1f} s long; at least {LEAST_SECONDS:.0f} s are needed"
        )
    num_train = frames - round(config.held_out * frames)
    boxes = survey.largest(before=num_train)
    if not len(boxes):
        raise UserError(f"{video_path}: no face found; the video must show one person's face from the front")
    crop = head_and_shoulders(boxes, width, height)
    report.frames, report.num_train, report.source_frame_rate = frames, num_train, video.source_rate
    report.crop = crop
    parts = (slice(0, num_train), slice(num_train, frames))

    samples = round(frames * SAMPLE_RATE / FRAME_RATE)
    if len(audio) < samples - SAMPLE_RATE // 4:
        report.warnings.append(f"the sound ends {(samples - len(audio)) / SAMPLE_RATE:.1f} s before the picture")
    audio = np.pad(audio[:samples], (0, max(samples - len(audio), 0)))
    write_wav(folder / dataset_folder.AUDIO, audio)

    tracked = _track(video, folder, crop, config.size, parts, stages)
    report.warnings.extend(video.warnings)
    measured = _measure(tracked, folder, config, parts, stages)
    with stages.stage("background"):
        _write_background(folder, num_train, report)
    with stages.stage("MFCC"):
        measured["mfcc"] = mfcc(audio, frames)
    ClipAttributes(**{name: _tight(value) for name, value in measured.items()}).save(folder / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        folder,
        focal_length=report.focal_length * config.size,
        size=(config.size, config.size),
        num_train=num_train,
        head_to_camera=measured["head_to_camera"],
    )
    report.write(folder / "report.json")


def _tight(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == bool else array.astype(np.float32)


def _survey(video, stages: _Stages):
    """Counts the frames and looks for faces once a second."""
    from dfa_nerfstudio.preprocessing.crop import FaceSurvey
    from dfa_nerfstudio.preprocessing.video import to_rgb

    survey, count, size = FaceSurvey(), 0, (0, 0)
    with stages.stage("looking for faces") as advance:
        for count, frame in enumerate(video.frames(), start=1):
            if (count - 1) % round(FRAME_RATE) == 0:
                image = to_rgb(frame)
                size = image.shape[1], image.shape[0]
                survey.add(count - 1, image)
            advance(1)
    return survey, count, size


def _track(video, folder: Path, crop, size: int, parts: tuple[slice, slice], stages: _Stages) -> _Tracked:
    """The one pass over all frames: images, masks and landmarks. Tracking and segmentation run side by side."""
    from dfa_nerfstudio.preprocessing.landmarks import LandmarkTracker, interpolate_lost
    from dfa_nerfstudio.preprocessing.person import PersonSegmenter
    from dfa_nerfstudio.preprocessing.video import to_rgb

    tracker, segmenter = LandmarkTracker(), PersonSegmenter()
    side = min(crop.side, TRACKING_SIDE)
    train, report = parts[0].stop, stages.report
    total_alpha = np.zeros((size, size), np.float64)
    (folder / "images").mkdir()
    (folder / "masks").mkdir()

    def track(images: list[UInt8[np.ndarray, "S S 3"]]) -> None:
        for image in images:
            tracker.add(image)

    def segment(first: int, images: list[UInt8[np.ndarray, "S S 3"]]) -> None:
        for number, image in enumerate(images, start=first):
            alpha = segmenter.alpha(image, size)
            _write_image(folder / f"masks/{number:05d}.png", alpha)
            if number < train:
                np.add(total_alpha, alpha, out=total_alpha)

    with (
        stages.stage("face and person", report.frames) as advance,
        ThreadPoolExecutor(1) as tracking,
        ThreadPoolExecutor(1) as segmenting,
    ):
        pending = []
        chunk: list[np.ndarray] = []
        for number, frame in enumerate(video.frames()):
            image = crop.cut(to_rgb(frame))
            _write_image(folder / f"images/{number:05d}.jpg", _resized(image, size))
            chunk.append(_resized(image, side))
            if len(chunk) == CHUNK or number == report.frames - 1:
                for job in pending:
                    job.result()
                advance(len(chunk))
                pending = [tracking.submit(track, chunk), segmenting.submit(segment, number + 1 - len(chunk), chunk)]
                chunk = []
        for job in pending:
            job.result()

    found = np.array(tracker.found)
    for part, words in zip(parts, ("the video", "its held-out end"), strict=True):
        if found[part].mean() < LEAST_FACES:
            raise UserError(
                f"{video.path}: the face is found in only {found[part].sum()} of {len(found[part])} frames of {words}; "
                "use a clip that shows it throughout"
            )
    report.faces_interpolated = int((~found).sum())
    report.frames_with_other_faces = tracker.frames_with_others
    if report.faces_interpolated:
        report.warnings.append(f"the face was lost in {report.faces_interpolated} frames, which are interpolated")
    if report.frames_with_other_faces:
        report.warnings.append(
            f"several faces in {report.frames_with_other_faces} frames; the largest one was taken and followed"
        )
    seen = np.stack(tracker.landmarks).astype(np.float64)
    landmarks = np.concatenate([interpolate_lost(seen[part], found[part]) for part in parts])
    return _Tracked(landmarks, found, total_alpha / (255 * train))


def _resized(image: UInt8[np.ndarray, "H W 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    way = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=way) if side != len(image) else np.ascontiguousarray(image)


def _write_image(path: Path, image: np.ndarray) -> None:
    """RGB or grey, JPEG at the quality of a master copy."""
    options = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(path.suffix, image, options if path.suffix == ".jpg" else ())[1].tobytes())


def _read_image(path: Path) -> UInt8[np.ndarray, "S S 3"]:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def _measure(
    tracked: _Tracked, folder: Path, config: ProcessConfig, parts: tuple[slice, slice], stages: _Stages
) -> dict[str, np.ndarray]:
    """Everything in `ClipAttributes` that the landmarks and the torso's pictures give."""
    from dfa_nerfstudio.preprocessing.eyes import EyeCalibration, lid_ratio
    from dfa_nerfstudio.preprocessing.face_topology import INNER_LIPS, LANDMARKS_68, RIGID
    from dfa_nerfstudio.preprocessing.head_fit import fit_head, upright
    from dfa_nerfstudio.preprocessing.head_pose import back_project, jitter, join, project, smooth_poses
    from dfa_nerfstudio.preprocessing.morphable_model import learn_morphable_model

    report, train, size = stages.report, parts[0], config.size
    landmarks = tracked.landmarks
    with stages.stage("head pose"):
        head = fit_head(landmarks[train])
        raw = head.poses(landmarks)
        poses = join([smooth_poses(raw[part], config.smoothing) for part in parts])
    rigid = head.shape[RIGID]
    report.focal_length, report.eye_distance = head.focal, head.scale * size
    report.jitter_before_smoothing = size * jitter(project(raw.to_camera(rigid), head.focal))
    report.jitter = size * jitter(project(poses.to_camera(rigid), head.focal))
    errors = head.errors(landmarks, poses) * size
    report.reprojection_error, report.reprojection_error_held_out = (float(errors[part].mean()) for part in parts)

    with stages.stage("expression and eyes"):
        front = back_project(upright(landmarks)[..., :2], head.shape, head.focal, poses)
        model = learn_morphable_model(front[train], min(config.expressions, train.stop - 1))
        ratio = lid_ratio(front)
        eyes = EyeCalibration.learn(ratio[train])
    report.blinks_seen = eyes.blinks_seen
    if not eyes.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    upper, lower = INNER_LIPS
    return {
        "face_found": tracked.found,
        "landmarks": landmarks * size,
        "front_landmarks": front[:, LANDMARKS_68],
        "head_to_camera": poses.matrices(),
        "torso_motion": _torso_motion(tracked, folder, head.focal, config.smoothing, poses.translation, parts, stages),
        "eye_opening": eyes.opening(ratio),
        "mouth_opening": np.linalg.norm(front[:, upper] - front[:, lower], axis=-1),
        "expression": model.project(front),
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }


def _torso_motion(
    tracked: _Tracked,
    folder: Path,
    focal: float,
    smoothing: int,
    head_places: Float[np.ndarray, "T 3"],
    parts: tuple[slice, slice],
    stages: _Stages,
) -> Float[np.ndarray, "T 4"]:
    from dfa_nerfstudio.preprocessing.face_topology import CHIN
    from dfa_nerfstudio.preprocessing.head_pose import jitter, smooth
    from dfa_nerfstudio.preprocessing.landmarks import interpolate_lost
    from dfa_nerfstudio.preprocessing.torso import (
        TorsoAligner,
        in_focal_lengths,
        torso_region,
        track_torso,
        tracking_image,
    )

    report, train = stages.report, parts[0]
    region = torso_region(tracked.mean_alpha, float(np.percentile(tracked.landmarks[train, CHIN, 1], 99)))
    if region is None:
        report.torso_tracked = False
        report.warnings.append("hardly any torso in the picture; its motion is taken as none")
        return np.zeros((report.frames, 4))
    places = head_places[train]
    middle = int(np.linalg.norm(places - np.median(places, axis=0), axis=-1).argmin())
    paths = [folder / f"images/{number:05d}.jpg" for number in range(report.frames)]
    with stages.stage("torso", report.frames) as advance:

        def pictures() -> Iterator[np.ndarray]:
            for path in paths:
                yield tracking_image(_read_image(path))
                advance(1)

        aligner = TorsoAligner(tracking_image(_read_image(paths[middle])), region)
        motion, found = track_torso(pictures(), aligner)
    report.torso_interpolated = int((~found).sum())
    if report.torso_interpolated:
        report.warnings.append(f"the torso was lost in {report.torso_interpolated} frames, which are interpolated")
    if not all(found[part].any() for part in parts):
        report.torso_tracked = False
        report.warnings.append("the torso cannot be followed; its motion is taken as none")
        return np.zeros((report.frames, 4))
    motion = in_focal_lengths(motion, focal)
    steady = np.concatenate([smooth(interpolate_lost(motion[part], found[part]), smoothing) for part in parts])
    report.torso_jitter = jitter(steady[:, None, :2]) * focal * report.size
    return steady


def _write_background(folder: Path, num_train: int, report: Report) -> None:
    from dfa_nerfstudio.preprocessing.person import uncovered_background

    sampled = np.unique(np.linspace(0, num_train - 1, BACKGROUND_SAMPLES).round().astype(int))
    images = np.stack([_read_image(folder / f"images/{number:05d}.jpg") for number in sampled])
    alphas = np.stack([cv2.imread(str(folder / f"masks/{number:05d}.png"), cv2.IMREAD_GRAYSCALE) for number in sampled])
    background, seen = uncovered_background(images, alphas)
    _write_image(folder / dataset_folder.BACKGROUND, background)
    report.background_seen = float(seen.mean())
