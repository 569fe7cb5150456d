"""Converts a video to a dataset folder.

Held-out frames never influence what is learnt: crop, head shape, focal length, morphable model, eye calibration, torso
reference and background come from training frames alone. On held-out frames only per-frame quantities (pose, torso
motion, eye opening, ...) are measured. Smoothing and interpolation never cross the border between the two.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from rich.console import Console

from dfa_nerfstudio.atomic_write import FullDiskError, atomic_folder, has_other_content
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.media.audio import read_audio, read_wav, write_wav
from dfa_nerfstudio.media.audio_selection import find_speech
from dfa_nerfstudio.media.frame_rows import TemporaryFiles
from dfa_nerfstudio.media.images import write_image
from dfa_nerfstudio.media.library_threads import single_threaded_libraries
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.preprocessing.attribute_extraction import extract_attributes
from dfa_nerfstudio.preprocessing.audio_attributes import SILENCE_PEAK, extract_audio_attributes
from dfa_nerfstudio.preprocessing.camera.camera_motion import MIN_CROP_RATIO, CameraMotion, estimate_camera_motion
from dfa_nerfstudio.preprocessing.frame_passes import VideoScan, scan_video, track_face
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.process_config import MIN_CLIP_SECONDS, ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.report.report_page import write_report_page
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import (
    estimate_background,
    read_background_samples,
)
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import write_torso_masks
from dfa_nerfstudio.preprocessing.video.crop import SquareCrop, head_and_shoulders_crop
from dfa_nerfstudio.preprocessing.video.cropped_video import CroppedVideo
from dfa_nerfstudio.preprocessing.video.people import choose_person
from dfa_nerfstudio.reporting.console import make_console

SCENE_PREFIX = "scene_"
"""Prefix of the dataset folders of a split video; the number of the scene follows."""
MAX_BACKGROUND_CHANGE = 0.05
"""Fraction of the visible background that may change before the report warns."""
FULL_AUDIO = "full_audio.wav"
"""Temporary file with the audio of the whole video."""


def process_video(video: Path, output: Path, config: ProcessConfig, console: Console | None = None) -> ProcessReport:
    """Converts a video of one person talking to a dataset folder.

    Args:
        video: any file with video and audio that PyAV reads.
        output: folder to write, atomically. For a video that is split into scenes, it contains one dataset folder per
            scene.
        config: options.
        console: where progress is shown; None shows nothing.

    Raises:
        UserError: if the video cannot be used (no frames, audio or face, too short, silent), the output exists or
            cannot be written, or the scene changes and `config.scene_cut` is "refuse".
    """
    _check_output(output, config.overwrite)
    check_models(config)
    report = ProcessReport(video.name, config.dataset_options(), image_size=config.size)
    progress = ProgressReporter(console or make_console(quiet=True), report)
    try:
        with (
            atomic_folder(output, last=dataset_folder.TRANSFORMS) as partial,
            progress.bars,
            single_threaded_libraries(),
            TemporaryFiles(partial) as files,
        ):
            _process(video, partial, files, config, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{output}: cannot be written ({reason})") from None
    return progress.report


def check_models(config: ProcessConfig) -> None:
    """Loads the model files that the options name, so that a bad file is reported before any work starts.

    Raises:
        UserError: if a model file is missing or invalid.
    """
    if config.face_landmarker is not None:
        LandmarkTracker.create(config.face_landmarker)
    if config.morphable_model is not None:
        MorphableBasis.load(config.morphable_model)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; give a folder")
    marks = (dataset_folder.TRANSFORMS, f"{SCENE_PREFIX}*/{dataset_folder.TRANSFORMS}")
    if output.is_dir() and has_other_content(output, *marks):
        raise UserError(f"{output}: contains other files; give a new or empty folder")
    if not overwrite and any(list(output.glob(mark)) for mark in marks):
        raise UserError(f"{output}: contains a dataset; replace it with `overwrite`, or give another folder")


def _process(
    path: Path, folder: Path, files: TemporaryFiles, config: ProcessConfig, progress: ProgressReporter
) -> None:
    report, video = progress.report, Video(path)
    full_audio = folder / FULL_AUDIO
    with progress.stage("audio"):
        source = find_speech(path, config.audio_track)
        audio = read_audio(path, source)
        _check_audible(path, audio)
        write_wav(full_audio, audio)
        del audio  # an hour of it takes as much memory as all attributes but the landmarks
    video.warnings.extend(source.notes)
    scan = scan_video(video, files, progress)
    report.num_frames, report.source_frame_rate = scan.num_frames, video.source_frame_rate
    if len(scan.scenes) == 1:
        _write_dataset(video, scan, scan.scenes[0], full_audio, folder, files, config, progress)
        return full_audio.unlink()
    if config.scene_cut == "refuse":
        times = ", ".join(f"{scene.start / FRAME_RATE:.2f} s" for scene in scan.scenes[1:])
        raise UserError(
            f"{path}: the scene changes at {times}; give a video of one scene, or use `scene_cut=split` to write one "
            "dataset per scene"
        )
    for number, scene in enumerate(scan.scenes):
        name, start = f"{SCENE_PREFIX}{number:02d}", scene.start / FRAME_RATE
        scene_report = ProcessReport(
            report.source,
            report.options,
            image_size=config.size,
            source_frame_rate=video.source_frame_rate,
            start=start,
        )
        (folder / name).mkdir()
        try:
            with TemporaryFiles(folder) as own:
                place = folder / name
                _write_dataset(video, scan, scene, full_audio, place, own, config, progress.with_report(scene_report))
            report.scenes[name] = scene_report
        except FullDiskError:  # a fault of the place, not of the scene
            raise
        except UserError as error:
            shutil.rmtree(folder / name)
            report.warnings.append(f"{name}, from {start:.1f} s to {scene.stop / FRAME_RATE:.1f} s, skipped: {error}")
    if not report.scenes:
        raise UserError(f"{path}: none of its {len(scan.scenes)} scenes can be used; {'; '.join(report.warnings)}")
    full_audio.unlink()
    report.write(folder / REPORT_FILE)
    write_report_page(folder)


def _write_dataset(
    video: Video,
    scan: VideoScan,
    scene: range,
    full_audio: Path,
    folder: Path,
    files: TemporaryFiles,
    config: ProcessConfig,
    progress: ProgressReporter,
) -> None:
    """Writes the dataset folder of one scene; `full_audio` is the audio of the whole video."""
    report = progress.report
    scene = _without_faceless_ends(scan, scene, report)
    num_frames = len(scene)
    if num_frames < MIN_CLIP_SECONDS * FRAME_RATE:
        raise UserError(
            f"{video.path}: only {num_frames / FRAME_RATE:.1f} s long; at least {MIN_CLIP_SECONDS:.0f} s are needed"
        )
    num_train = num_frames - round(config.held_out * num_frames)
    missing, times = scan.missing_frames(scene), scan.times_within(scene)
    timeline = Timeline.from_cuts(num_frames, num_train, scan.cuts_within(scene)).exclude(missing)
    camera = None
    if config.camera == "stabilize":
        camera = estimate_camera_motion(video, scene, scan.frame_size, scan.thumbnails, timeline, progress)
    faces = scan.faces.within(scene[:num_train], camera)
    person = choose_person(faces, config.person, video, scene[:num_train], full_audio)
    boxes = person.boxes
    if not len(boxes):
        raise UserError(f"{video.path}: no face found; the video must show one person's face from the front")
    crop = head_and_shoulders_crop(boxes, *scan.frame_size)
    if camera:
        crop, timeline = _crop_within_camera(camera, crop, boxes, scan.frame_size, timeline, video, report)
    report.num_frames, report.num_train, report.crop = num_frames, num_train, crop

    _write_audio(full_audio, scene, folder, video, report)

    cropped = CroppedVideo(video, crop, num_frames, scene.start, camera)
    several_faces = any(len(boxes) > 1 for boxes in faces)
    tracker = LandmarkTracker.create(config.face_landmarker, single_face=not several_faces)
    tracker.follower.expected_centre = (np.median(boxes[:, :2], axis=0) - crop[:2]) / crop.side
    tracked_face = track_face(cropped, folder, config.size, timeline, missing, times, tracker, files, progress)
    report.warnings.extend(video.warnings)
    if person.note:
        report.warnings.append(person.note)
    elif several_faces or report.frames_with_other_faces:
        report.warnings.append("the video shows other faces for a part of the time")
    with progress.stage("torso masks"):
        write_torso_masks(folder, tracked_face.landmarks)
    with progress.stage("background"):
        _write_background(folder, tracked_face.timeline, report)
    attributes, image_poses = extract_attributes(tracked_face, cropped, files, config, progress)
    with progress.stage("MFCC and voice"):
        attributes |= extract_audio_attributes(read_wav(folder / dataset_folder.AUDIO), num_frames, num_train)
    report.record_speech(attributes["voice"], attributes["loudness"])
    if not attributes["voice"].any():
        report.warnings.append("no speech is detected in the audio")
    clip = ClipAttributes.from_arrays(attributes)
    clip.save(folder / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        folder,
        focal_length=report.focal_length * config.size,
        size=(config.size, config.size),
        num_train=num_train,
        head_to_camera=image_poses.matrices(),
        times=times.within(tracked_face.timeline.segments()),
        source_frame_rate=video.source_frame_rate,
    )
    report.write(folder / REPORT_FILE)
    write_report_page(folder, clip)


def _without_faceless_ends(scan: VideoScan, scene: range, report: ProcessReport) -> range:
    """Returns the scene without long ends that show no face, so that held-out frames are frames with a face."""
    part = scan.part_with_face(scene)
    report.start = part.start / FRAME_RATE
    for name, count in (("first", part.start - scene.start), ("last", scene.stop - part.stop)):
        if count:
            report.warnings.append(f"the {name} {count / FRAME_RATE:.1f} s show no face and are left out")
    return part


def _write_audio(full_audio: Path, scene: range, folder: Path, video: Video, report: ProcessReport) -> None:
    """Writes the audio of the scene, exactly as long as its frames.

    It is read again later instead of being kept, because one hour of audio takes as much memory as all attributes but
    the landmarks.
    """
    samples_per_frame = round(SAMPLE_RATE / FRAME_RATE)
    audio = read_wav(full_audio, scene.start * samples_per_frame, scene.stop * samples_per_frame)
    missing = len(scene) * samples_per_frame - len(audio)
    _check_audible(video.path, audio)
    if missing > SAMPLE_RATE // 4:
        report.warnings.append(f"the audio ends {missing / SAMPLE_RATE:.1f} s before the last frame")
    write_wav(folder / dataset_folder.AUDIO, np.pad(audio, (0, missing)))


def _check_audible(path: Path, audio: Float32[np.ndarray, " S"]) -> None:
    if not len(audio) or np.abs(audio).max() < SILENCE_PEAK:
        raise UserError(f"{path}: its audio is silent throughout; a talking head needs speech")


def _crop_within_camera(
    camera: CameraMotion,
    wanted: SquareCrop,
    boxes: Float[np.ndarray, "N 4"],
    frame_size: tuple[int, int],
    timeline: Timeline,
    video: Video,
    report: ProcessReport,
) -> tuple[SquareCrop, Timeline]:
    """Returns the crop that (nearly) all frames of a moving camera show, and the timeline without the other frames."""
    crop = camera.common_crop(wanted, *frame_size, timeline.num_train)
    min_side = MIN_CROP_RATIO * float(np.median(boxes[:, 3]))
    if crop.side < min_side:
        raise UserError(
            f"{video.path}: the camera moves so far that its frames share only {crop.side} x {crop.side} pixels, too "
            f"few for a head of this size ({min_side:.0f}); record with a static camera, or disable stabilization with "
            "`camera=static`"
        )
    shown = camera.frames_showing(crop, *frame_size)
    report.camera_moved, report.max_camera_shift = True, camera.max_shift(*frame_size)
    report.crop_kept = crop.side / wanted.side
    if not shown.all():
        report.warnings.append(
            f"{(~shown).sum()} frames do not show the whole crop, because the camera moves; they are excluded from "
            "training and evaluation"
        )
    return crop, timeline.exclude(~shown)


def _write_background(folder: Path, timeline: Timeline, report: ProcessReport) -> None:
    background = estimate_background(*read_background_samples(folder, timeline.train_mask))
    write_image(folder / dataset_folder.BACKGROUND, background.image)
    report.background_visible = float(background.visible.mean())
    report.background_changing = background.changing_fraction
    if background.changing_fraction > MAX_BACKGROUND_CHANGE:
        report.warnings.append(
            f"{100 * background.changing_fraction:.0f} % of the background changes during the video; its median is used"
        )
