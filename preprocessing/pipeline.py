"""From a video to a dataset folder.

Held out means held out: crop, head shape, focal length, morphable model, eye calibration, torso reference and
background are learnt from training frames. On the frames after them only pose, torso motion, eye opening and the like
are measured, with what was learnt. Smoothing and interpolation never reach over the border.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
from rich.console import Console

from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.audio import read_audio, write_wav
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, SAMPLE_RATE, ClipAttributes, DatasetFolder
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.config import ProcessConfig
from dfa_nerfstudio.preprocessing.crop import head_and_shoulders
from dfa_nerfstudio.preprocessing.footage import Footage
from dfa_nerfstudio.preprocessing.images import image_path, mask_path, read_image, read_mask, write_image
from dfa_nerfstudio.preprocessing.landmarks import LandmarkTracker
from dfa_nerfstudio.preprocessing.measure import measure
from dfa_nerfstudio.preprocessing.person import uncovered_background
from dfa_nerfstudio.preprocessing.report import Report
from dfa_nerfstudio.preprocessing.sound import sound_attributes
from dfa_nerfstudio.preprocessing.stages import Stages
from dfa_nerfstudio.preprocessing.timeline import Timeline
from dfa_nerfstudio.preprocessing.tracking import survey, track
from dfa_nerfstudio.preprocessing.video import Video

LEAST_SECONDS = 2.0
BACKGROUND_SAMPLES = 120
"""Training frames that the background is taken from."""


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
    stages = Stages(console or Console(quiet=True), Report(source=video.name, size=config.size))
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


def _process(video_path: Path, folder: Path, config: ProcessConfig, stages: Stages) -> None:
    report = stages.report
    tracker = LandmarkTracker.create(config.face_landmarker)
    video = Video(video_path)
    with stages.stage("sound"):
        audio = read_audio(video_path)
        if np.abs(audio).max() < 1e-4:
            raise UserError(f"{video_path}: its sound is silent throughout; a talking head needs speech")
    faces, frames, (width, height) = survey(video, stages)
    if frames < LEAST_SECONDS * FRAME_RATE:
        raise UserError(
            f"{video_path}: only {frames / FRAME_RATE:.1f} s long; at least {LEAST_SECONDS:.0f} s are needed"
        )
    num_train = frames - round(config.held_out * frames)
    boxes = faces.largest(before=num_train)
    if not len(boxes):
        raise UserError(f"{video_path}: no face found; the video must show one person's face from the front")
    crop = head_and_shoulders(boxes, width, height)
    report.frames, report.num_train, report.source_frame_rate = frames, num_train, video.source_rate
    report.crop = crop
    timeline = Timeline.of(frames, num_train)

    samples = round(frames * SAMPLE_RATE / FRAME_RATE)
    if len(audio) < samples - SAMPLE_RATE // 4:
        report.warnings.append(f"the sound ends {(samples - len(audio)) / SAMPLE_RATE:.1f} s before the picture")
    audio = np.pad(audio[:samples], (0, max(samples - len(audio), 0)))
    write_wav(folder / dataset_folder.AUDIO, audio)

    footage = Footage(video, crop, frames)
    tracked = track(footage, folder, config.size, timeline, tracker, stages)
    report.warnings.extend(video.warnings)
    if faces.several or report.frames_with_other_faces:
        report.warnings.append("several faces in the picture; the largest one was taken and followed")
    measured = measure(tracked, footage, folder, config, stages)
    with stages.stage("background"):
        _write_background(folder, num_train, report)
    with stages.stage("MFCC"):
        measured |= sound_attributes(audio, frames, num_train)
    compact = {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in measured.items()}
    ClipAttributes(**compact).save(folder / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        folder,
        focal_length=report.focal_length * config.size,
        size=(config.size, config.size),
        num_train=num_train,
        head_to_camera=measured["head_to_camera"],
    )
    report.write(folder / "report.json")


def _write_background(folder: Path, num_train: int, report: Report) -> None:
    sampled = np.unique(np.linspace(0, num_train - 1, BACKGROUND_SAMPLES).round().astype(int))
    images = np.stack([read_image(image_path(folder, number)) for number in sampled])
    alphas = np.stack([read_mask(mask_path(folder, number)) for number in sampled])
    background, seen = uncovered_background(images, alphas)
    write_image(folder / dataset_folder.BACKGROUND, background)
    report.background_seen = float(seen.mean())
