"""Converts a data folder of the AD-NeRF family to a dataset folder.

Poses, masks, landmarks, background and eye values of the data folder are used where they exist; missing ones are
computed as in dfa-process. Models are fitted to the frames of `transforms_train` only, so that held-out frames stay
held out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_folder, has_other_content
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, TRANSFORMS, ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.eye_aperture import EyeCalibration, LidObservations, find_blinks
from dfa_nerfstudio.face.head_pose import Poses, back_project, project_points
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68, RIGID
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.frame_times import FrameTimes
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline, format_spans, true_spans
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.adnerf.eye_opening import EyeSignal, read_eyes
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import FrameMapping
from dfa_nerfstudio.preprocessing.adnerf.head_space_fit import fill_poses, fit_head_space
from dfa_nerfstudio.preprocessing.adnerf.image_import import CropSpec, segment_person, write_background, write_images
from dfa_nerfstudio.preprocessing.adnerf.landmark_import import find_landmarks, to_mediapipe_landmarks
from dfa_nerfstudio.preprocessing.adnerf.mask_import import find_masks
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder
from dfa_nerfstudio.preprocessing.adnerf.torso_import import track_torso
from dfa_nerfstudio.preprocessing.audio_attributes import SILENCE_PEAK, extract_audio_attributes
from dfa_nerfstudio.preprocessing.morphable.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.process_config import MIN_CLIP_SECONDS, ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.report.report_page import write_report_page
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import write_torso_masks
from dfa_nerfstudio.preprocessing.torso.torso_motion import smooth_torso_motion
from dfa_nerfstudio.reporting.console import make_console

DEFAULT_NAME = "dfa-nerf"
"""Default name of the dataset folder, inside the data folder."""
IMPORT_RECORD = "import.json"
"""File in the dataset folder that records the import's source and options. Its modification time is the start of the
import."""
MAX_REPROJECTION_ERROR = 0.15
"""Largest mean distance, in outer eye corner distances, between landmarks and their reprojection; above it the poses do
not belong to the images. Poses of the AD-NeRF family reach 0.02 to 0.05."""


def import_folder(
    source: Path, output: Path | None = None, size: int | None = None, console: Console | None = None
) -> Path:
    """Converts a data folder, unless its dataset folder exists and is newer than every file of the data folder.

    Args:
        source: the data folder; nothing in it is changed except `dfa-nerf/`.
        output: the dataset folder; None for `dfa-nerf/` inside `source`.
        size: side of the square images in pixels; None keeps the source's resolution.
        console: console for progress bars and warnings; None for no output.

    Returns:
        the dataset folder.

    Raises:
        UserError: if a required file is missing or damaged, or the output cannot be written.
    """
    console = console or make_console(quiet=True)
    folder = ADNeRFFolder.open(source)
    output = output or source / DEFAULT_NAME
    record = {"data_folder": os.path.relpath(source, output), "size": size}
    try:
        if _is_up_to_date(output, record, folder):
            return output
        console.print(f"importing {source} to {output} (once)", soft_wrap=True)
        progress = ProgressReporter(console, ProcessReport(source=source.resolve().name))
        with atomic_folder(output, last=TRANSFORMS) as partial, progress.bars:
            (partial / IMPORT_RECORD).write_text(json.dumps(record))
            _convert(folder, partial, size, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{error.filename or output}: {reason}; if {output} cannot be written, choose another folder with `output`"
        ) from None
    for warning in progress.report.warnings:
        console.print(f"note: {warning}", soft_wrap=True)
    return output


def _is_up_to_date(output: Path, record: dict[str, str | int | None], folder: ADNeRFFolder) -> bool:
    if output.exists() and (not output.is_dir() or has_other_content(output, IMPORT_RECORD)):
        raise UserError(f"{output}: contains other files; choose another folder with `output`")
    record_file = output / IMPORT_RECORD
    try:
        same = json.loads(record_file.read_text()) == record
    except (OSError, ValueError):
        return False
    complete = (output / TRANSFORMS).is_file()
    return same and complete and folder.latest_mtime() <= record_file.stat().st_mtime


def _convert(folder: ADNeRFFolder, output: Path, size: int | None, progress: ProgressReporter) -> None:
    report = progress.report
    mapping = FrameMapping.from_folder(folder)
    crop = CropSpec.from_folder(folder, size)
    masks = find_masks(folder)
    audio = _read_audio(folder, mapping, report)
    write_wav(output / dataset_folder.AUDIO, audio)
    report.num_frames, report.num_train, report.image_size = len(mapping), mapping.num_train, crop.size
    report.source_frame_rate = FRAME_RATE
    if mapping.num_train == len(mapping):
        report.warnings.append("transforms_val.json has no frames: nothing is held out")

    observed, found = find_landmarks(folder, mapping, crop, progress)
    timeline = Timeline(np.where(mapping.has_image, 0, -1).astype(np.int32), mapping.num_train).exclude_lost(found)
    train_mask = timeline.train_mask & found
    if train_mask.sum() < MIN_CLIP_SECONDS * FRAME_RATE:
        raise UserError(
            f"{folder.transforms[0]}: only {train_mask.sum()} training frames with pose, image and landmarks; "
            f"{MIN_CLIP_SECONDS * FRAME_RATE:.0f} or more are needed"
        )
    report.faces_interpolated = int((timeline.valid & ~found).sum())
    report.excluded_spans = true_spans(~timeline.valid)
    if report.excluded_spans:
        spans = format_spans(report.excluded_spans)
        report.warnings.append(f"no pose or no landmarks from {spans}; these frames are not used")
    focal = folder.focal / min(folder.size)
    face = fit_head_space(observed, focal, fill_poses(folder.cameras, mapping.rows, len(mapping)), train_mask)
    report.focal_length, report.eye_distance = focal, face.scale * crop.size
    projected = project_points(face.poses.to_camera(face.shape[RIGID]), focal)
    report.jitter = report.jitter_before_smoothing = crop.size * jitter(projected, timeline.segments())
    report.reprojection_error = face.error * report.eye_distance
    if face.error > MAX_REPROJECTION_ERROR:
        raise UserError(
            f"{folder.transforms[0]}: its poses put the face {face.error:.2f} eye distances away from the "
            "landmarks; transform_matrix must be camera to head with OpenGL axes, and belong to these images"
        )

    front = back_project(observed, face.shape, focal, face.poses)
    landmarks = to_mediapipe_landmarks(observed, front, focal, face.poses)  # [T, 478, 3]

    with progress.stage("images", len(mapping)) as advance:
        write_images(folder, mapping, crop, masks, output, advance)
    if not masks:
        with progress.stage("person masks", len(mapping)) as advance:
            segment_person(output, timeline, advance)
        write_torso_masks(output, landmarks)
    with progress.stage("background"):
        background = write_background(folder, crop, train_mask, output)
    signal = read_eyes(folder, mapping.image_numbers)
    eyes = _eye_attributes(signal, front, face.poses, found, timeline, report)
    report.options = {
        "poses": folder.transforms[0].name,
        "images": folder.images[int(folder.image_ids[0])].parent.name,
        "masks": masks.source if masks else "segmentation",
        "background": background,
        "eyes": signal.source if signal else "landmarks",
    }
    with progress.stage("MFCC and voice"):
        audio_attributes = extract_audio_attributes(audio, len(mapping), mapping.num_train)
    report.record_speech(audio_attributes["voice"], audio_attributes["loudness"])
    distance = np.linalg.norm(face.poses.translation - np.median(face.poses.translation[train_mask], axis=0), axis=-1)
    reference = int(np.where(train_mask, distance, np.inf).argmin())
    with progress.stage("torso", len(mapping)) as advance:
        tracker = track_torso(output, reference, timeline, advance)
        times = FrameTimes.constant(len(mapping))
        torso = smooth_torso_motion(tracker, timeline, times, focal, ProcessConfig.smoothing, report)
    model = learn_morphable_model(front[train_mask], min(ProcessConfig.num_expressions, int(train_mask.sum()) - 1))
    attributes = {
        "shot": timeline.shot,
        "face_found": found,
        "landmarks": landmarks * crop.size,
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
        **audio_attributes,
    }
    ClipAttributes.from_arrays(attributes).save(output / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        output,
        focal_length=focal * crop.size,
        size=(crop.size, crop.size),
        num_train=mapping.num_train,
        head_to_camera=attributes["head_to_camera"],
    )
    report.write(output / REPORT_FILE)
    write_report_page(output)
    sources = "; ".join(f"{name} from {source}" for name, source in report.options.items())
    progress.bars.console.print(f"{len(mapping)} frames, {mapping.num_train} for training; {sources}", soft_wrap=True)


def _read_audio(folder: ADNeRFFolder, mapping: FrameMapping, report: ProcessReport) -> Float32[np.ndarray, " S"]:
    """Reads the audio of all frames; silence is appended where it is too short."""
    path = folder.file("aud.wav")
    if not path:
        raise UserError(
            f"{folder.path / 'aud.wav'}: missing; save the video's audio there, beginning with frame 0 (f_a is "
            "learned from it; aud.npy and similar files hold other features)"
        )
    audio = read_audio(path)
    per_frame = round(SAMPLE_RATE / FRAME_RATE)
    audio = audio[mapping.start * per_frame :][: len(mapping) * per_frame]
    missing = len(mapping) * per_frame - len(audio)
    if not len(audio) or np.abs(audio).max() < SILENCE_PEAK:
        raise UserError(f"{path}: silent, or ends before the first frame; save the audio of the video's speech there")
    if missing > len(audio):
        raise UserError(
            f"{path}: ends {missing / SAMPLE_RATE:.1f} s before the images, so it belongs to another video; save this "
            "video's audio there"
        )
    if missing > SAMPLE_RATE // 4:
        report.warnings.append(f"the audio ends {missing / SAMPLE_RATE:.1f} s before the images")
    return np.pad(audio, (0, missing))


def _eye_attributes(
    signal: EyeSignal | None,
    front: Float[np.ndarray, "T 478 3"],
    poses: Poses,
    found: Bool[np.ndarray, " T"],
    timeline: Timeline,
    report: ProcessReport,
) -> dict[str, np.ndarray]:
    """Returns the fields of `ClipAttributes` for eyes and blendshapes."""
    if signal:
        opening, blinks_observed = signal.opening(timeline.train_mask & found)
    else:
        lids = LidObservations.from_landmarks(front, poses)
        calibration = EyeCalibration.fit(lids, found, timeline)
        opening, blinks_observed = calibration.opening(lids, timeline), calibration.blinks_observed
    blinks = find_blinks(opening, found, timeline)
    report.record_blinks(len(blinks), int(timeline.valid.sum()), blinks_observed)
    return {
        "eye_opening": opening,
        "blinks": blinks,
        "blendshapes": signal.blendshapes if signal else np.zeros((len(front), 0)),
    }
