"""From a data folder of the AD-NeRF family to a dataset folder, without tracking anything that it has tracked.

Poses, masks, landmarks, background and eye values are taken over; what is missing is found as dfa-process finds it.
Held out means held out here too: whatever is learnt is learnt from the frames of `transforms_train`.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.eye_aperture import EyeCalibration, Lids, find_blinks
from dfa_nerfstudio.face.head_pose import Poses, back_project, project
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68, RIGID
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.adnerf.eye_opening import EyeSignal, read_eyes
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import Layout
from dfa_nerfstudio.preprocessing.adnerf.head_space_fit import fill_poses, pose_face
from dfa_nerfstudio.preprocessing.adnerf.image_import import Framing, segment_person, write_background, write_pictures
from dfa_nerfstudio.preprocessing.adnerf.landmark_import import find_landmarks, in_image_sides
from dfa_nerfstudio.preprocessing.adnerf.mask_import import find_masks
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder
from dfa_nerfstudio.preprocessing.adnerf.torso_import import follow_torso
from dfa_nerfstudio.preprocessing.audio_attributes import sound_attributes
from dfa_nerfstudio.preprocessing.morphable.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.report.process_report import Report
from dfa_nerfstudio.preprocessing.report.report_page import REPORT, write_report_page
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import write_torso_masks
from dfa_nerfstudio.preprocessing.torso.torso_motion import smoothed_torso

DEFAULT_NAME = "dfa-nerf"
"""Of the dataset folder within the data folder."""
ORIGIN = "import.json"
"""In the dataset folder: what it was made of. As old as the beginning of the import."""
LEAST_SECONDS = 2.0
MOST_ERROR = 0.15
"""Outer eye corner distances between landmarks and their reprojection from which on the poses belong to something else.
The fits of the family reach 0.02 to 0.05."""


def import_folder(
    source: Path, output: Path | None = None, size: int | None = None, console: Console | None = None
) -> Path:
    """The dataset folder of a data folder: made where it is not there yet, or older than any file of the data folder.

    Args:
        source: the data folder; nothing in it is touched but its `dfa-nerf/`.
        output: the dataset folder; None for `dfa-nerf/` within `source`.
        size: side of the square images in pixels; None leaves them as they are.
        console: where progress is shown; a quiet one shows nothing.

    Raises:
        UserError: if a file that is needed is missing or broken, or the output cannot be written.
    """
    console = console or Console(quiet=True)
    folder = ADNeRFFolder.open(source)
    output = output or source / DEFAULT_NAME
    origin = {"data_folder": os.path.relpath(source, output), "size": size}
    try:
        if _up_to_date(output, origin, folder):
            return output
        console.print(f"importing {source} to {output}, once", highlight=False, soft_wrap=True)
        stages = Stages(console, Report(source=source.resolve().name))
        with atomic_write(output) as partial, stages.progress:
            partial.mkdir()
            (partial / ORIGIN).write_text(json.dumps(origin))
            _convert(folder, partial, size, stages)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise UserError(
            f"{error.filename or output}: {reason}; if that is for writing, choose another folder than {output} with "
            "--output"
        ) from None
    for warning in stages.report.warnings:
        console.print(f"note: {warning}", highlight=False, soft_wrap=True)
    return output


def _up_to_date(output: Path, origin: dict[str, str | int | None], folder: ADNeRFFolder) -> bool:
    made = output / ORIGIN
    if not made.is_file():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(f"{output}: holds other files; choose another folder with --output")
        return False
    try:
        same = json.loads(made.read_text()) == origin
    except ValueError:
        same = False
    return same and folder.newest() <= made.stat().st_mtime


def _convert(folder: ADNeRFFolder, output: Path, size: int | None, stages: Stages) -> None:
    report = stages.report
    layout = Layout.of(folder)
    framing = Framing.of(folder, size)
    masks = find_masks(folder)
    audio = _read_sound(folder, layout, report)
    write_wav(output / dataset_folder.AUDIO, audio)
    report.frames, report.num_train, report.size = len(layout), layout.num_train, framing.size
    report.source_frame_rate = FRAME_RATE
    if layout.num_train == len(layout):
        report.warnings.append("no frames in transforms_val.json: nothing is held out")

    observed, found = find_landmarks(folder, layout, framing, stages)
    timeline = Timeline(np.where(layout.pictured, 0, -1).astype(np.int32), layout.num_train).without_lost(found)
    learn = timeline.learnable & found
    if learn.sum() < LEAST_SECONDS * FRAME_RATE:
        raise UserError(
            f"{folder.transforms[0]}: only {learn.sum()} frames with pose, picture and landmarks for training; at "
            f"least {LEAST_SECONDS * FRAME_RATE:.0f} are needed"
        )
    report.faces_interpolated = int((timeline.usable & ~found).sum())
    report.left_out = [(gap.start / FRAME_RATE, gap.stop / FRAME_RATE) for gap in timeline.left_out()]
    if report.left_out:
        spans = ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in report.left_out)
        report.warnings.append(f"no pose or no landmarks from {spans}; these frames are of no use")
    focal = folder.focal / min(folder.size)
    face = pose_face(observed, focal, fill_poses(folder.cameras, layout.rows, len(layout)), learn)
    report.focal_length, report.eye_distance = focal, face.scale * framing.size
    seen = project(face.poses.to_camera(face.shape[RIGID]), focal)
    report.jitter = report.jitter_before_smoothing = framing.size * jitter(seen, timeline.stretches())
    report.reprojection_error = face.error * report.eye_distance
    if face.error > MOST_ERROR:
        raise UserError(
            f"{folder.transforms[0]}: its poses put the face {face.error:.2f} eye distances away from where the "
            "landmarks see it; transform_matrix must be camera to head, OpenGL axes, and belong to these pictures"
        )

    front = back_project(observed, face.shape, focal, face.poses)
    landmarks = in_image_sides(observed, front, focal, face.poses)  # [T, 478, 3]

    with stages.stage("pictures", len(layout)) as advance:
        write_pictures(folder, layout, framing, masks, output, advance)
    if not masks:
        with stages.stage("person", len(layout)) as advance:
            segment_person(output, timeline, advance)
        write_torso_masks(output, landmarks)
    with stages.stage("background"):
        background = write_background(folder, framing, learn, output)
    signal = read_eyes(folder, layout.numbers)
    eyes = _eye_attributes(signal, front, face.poses, found, timeline, report)
    report.options = {
        "poses": folder.transforms[0].name,
        "pictures": folder.pictures[int(folder.image_ids[0])].parent.name,
        "masks": masks.source if masks else "found anew",
        "background": background,
        "eyes": signal.source if signal else "landmarks",
    }
    with stages.stage("MFCC and voice"):
        sound = sound_attributes(audio, len(layout), layout.num_train)
    report.voice = float(sound["voice"].mean())
    report.loudness = float(np.median(sound["loudness"][sound["voice"]])) if sound["voice"].any() else 0.0
    away = np.linalg.norm(face.poses.translation - np.median(face.poses.translation[learn], axis=0), axis=-1)
    reference = int(np.where(learn, away, np.inf).argmin())
    with stages.stage("torso", len(layout)) as advance:
        tracker = follow_torso(output, reference, timeline, advance)
        torso = smoothed_torso(tracker, timeline, focal, ProcessConfig.smoothing, report)
    model = learn_morphable_model(front[learn], min(ProcessConfig.expressions, int(learn.sum()) - 1))
    measured = {
        "shot": timeline.shot,
        "face_found": found,
        "landmarks": landmarks * framing.size,
        "front_landmarks": front[:, LANDMARKS_68],
        "head_to_camera": face.poses.matrices(),
        "mouth_opening": mouth_opening(front, face.poses),
        "expression": model.project(front),
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
        **vars(torso),
        **eyes,
        **sound,
    }
    ClipAttributes.of(measured).save(output / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        output,
        focal_length=focal * framing.size,
        size=(framing.size, framing.size),
        num_train=layout.num_train,
        head_to_camera=measured["head_to_camera"],
    )
    report.write(output / REPORT)
    write_report_page(output)
    origins = "; ".join(f"{name} from {source}" for name, source in report.options.items())
    stages.progress.console.print(
        f"{len(layout)} frames, {layout.num_train} for training; {origins}", highlight=False, soft_wrap=True
    )


def _read_sound(folder: ADNeRFFolder, layout: Layout, report: Report) -> Float32[np.ndarray, " S"]:
    """The frames' sound, from the first to the last one, filled up with silence."""
    path = folder.file("aud.wav")
    if not path:
        raise UserError(
            f"{folder.path / 'aud.wav'}: missing; put the film's sound there, beginning with frame 0 (f_a is learnt "
            "from it; aud.npy and the like hold other features)"
        )
    audio = read_audio(path)
    per_frame = round(SAMPLE_RATE / FRAME_RATE)
    audio = audio[layout.start * per_frame :][: len(layout) * per_frame]
    lacking = len(layout) * per_frame - len(audio)
    if not len(audio) or np.abs(audio).max() < 1e-4:
        raise UserError(f"{path}: silent throughout, or shorter than the film's first frames; speech is needed")
    if lacking > len(audio):
        raise UserError(f"{path}: ends {lacking / SAMPLE_RATE:.1f} s before the pictures; it belongs to another film")
    if lacking > SAMPLE_RATE // 4:
        report.warnings.append(f"the sound ends {lacking / SAMPLE_RATE:.1f} s before the pictures")
    return np.pad(audio, (0, lacking))


def _eye_attributes(
    signal: EyeSignal | None,
    front: Float[np.ndarray, "T 478 3"],
    poses: Poses,
    found: Bool[np.ndarray, " T"],
    timeline: Timeline,
    report: Report,
) -> dict[str, np.ndarray]:
    """The fields of `ClipAttributes` that are about eyes."""
    if signal:
        opening, report.blinks_seen = signal.opening(timeline.learnable & found)
    else:
        lids = Lids.of(front, poses)
        calibration = EyeCalibration.learn(lids, found, timeline)
        opening, report.blinks_seen = calibration.opening(lids, timeline), calibration.blinks_seen
    blinks = find_blinks(opening, found, timeline)
    report.blinks, report.blinks_per_second = len(blinks), len(blinks) * FRAME_RATE / int(timeline.usable.sum())
    if not report.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    return {
        "eye_opening": opening,
        "blinks": blinks,
        "blendshapes": signal.blendshapes if signal else np.zeros((len(front), 0)),
    }
