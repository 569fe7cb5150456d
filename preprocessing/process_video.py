"""From a video to a dataset folder.

Held out means held out: crop, head shape, focal length, morphable model, eye calibration, torso reference and
background are learnt from training frames. On the frames after them only pose, torso motion, eye opening and the like
are measured, with what was learnt. Smoothing and interpolation never reach over the border.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data import dataset_folder
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder, image_path, mask_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker
from dfa_nerfstudio.media.audio import read_audio, read_wav, write_wav
from dfa_nerfstudio.media.images import read_image, read_mask, write_image
from dfa_nerfstudio.media.prefetch import single_threaded_libraries
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.preprocessing.attribute_extraction import measure
from dfa_nerfstudio.preprocessing.audio_attributes import sound_attributes
from dfa_nerfstudio.preprocessing.camera.camera_motion import LEAST_SIDE, Camera, find_camera
from dfa_nerfstudio.preprocessing.frame_passes import LEAST_SECONDS, Survey, survey, track
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.report.process_report import Report
from dfa_nerfstudio.preprocessing.report.report_page import REPORT, write_report_page
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import uncovered_background
from dfa_nerfstudio.preprocessing.segmentation.torso_mask import write_torso_masks
from dfa_nerfstudio.preprocessing.video.crop import Square, head_and_shoulders, main_person
from dfa_nerfstudio.preprocessing.video.cropped_video import Footage

SCENE = "scene_"
"""What the folders of a video's scenes are called, with a number."""
BACKGROUND_SAMPLES = 120
"""Training frames that the background is taken from."""
MUCH_CHANGES = 0.05
"""Part of the background that may change without a word."""
WHOLE_SOUND = "sound.wav"
"""The video's sound while its scenes are worked on."""
SILENT = 1e-4
"""Sound that is nowhere louder is none, in full scale."""


def process_video(video: Path, output: Path, config: ProcessConfig, console: Console | None = None) -> Report:
    """Turns a video of one person talking into a dataset folder.

    Args:
        video: any file that PyAV reads, with sound.
        output: the folder to make; it appears whole or not at all. Of a video that is split into scenes it holds a
            dataset folder of each.
        config: options.
        console: where progress is shown; a quiet one shows nothing.

    Raises:
        UserError: if the video is of no use (no picture, sound or face, too short, silent), or the output exists or
            cannot be written; or if its scene changes and `config.on_cut` does not say to split it.
    """
    _check_output(output, config.overwrite)
    check_models(config)
    stages = Stages(console or Console(quiet=True), Report(video.name, config.described(), size=config.size))
    try:
        with atomic_write(output) as partial, stages.progress, single_threaded_libraries():
            partial.mkdir()
            _process(video, partial, config, stages)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise UserError(f"{output}: cannot be written ({reason})") from None
    return stages.report


def check_models(config: ProcessConfig) -> None:
    """Finds out before any work whether the model files are of use.

    Raises:
        UserError: if one is not.
    """
    if config.face_landmarker is not None:
        LandmarkTracker.create(config.face_landmarker)
    if config.morphable_model is not None:
        MorphableBasis.load(config.morphable_model)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir() and any(output.iterdir()):
        if not any(list(output.glob(f"{name}{dataset_folder.TRANSFORMS}")) for name in ("", f"{SCENE}*/")):
            raise UserError(f"{output}: holds other files; give a new or empty folder")
        if not overwrite:
            raise UserError(f"{output}: is a dataset already; replace it with --overwrite, or give another folder")
    elif output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; give a folder")


def _process(path: Path, folder: Path, config: ProcessConfig, stages: Stages) -> None:
    report, video = stages.report, Video(path)
    sound = folder / WHOLE_SOUND
    with stages.stage("sound"):
        write_wav(sound, read_audio(path))
    found = survey(video, stages)
    report.frames, report.source_frame_rate = found.frames, video.source_rate
    if len(found.scenes) == 1:
        _make_dataset(video, found, found.scenes[0], sound, folder, config, stages)
        return sound.unlink()
    if config.on_cut == "refuse":
        times = ", ".join(f"{scene.start / FRAME_RATE:.2f} s" for scene in found.scenes[1:])
        raise UserError(
            f"{path}: the scene changes at {times}; give one scene, or make a dataset of each with --on-cut split"
        )
    for number, scene in enumerate(found.scenes):
        name, start = f"{SCENE}{number:02d}", scene.start / FRAME_RATE
        of_scene = Report(report.source, report.options, size=config.size, source_frame_rate=video.source_rate)
        of_scene.start = start
        (folder / name).mkdir()
        try:
            _make_dataset(video, found, scene, sound, folder / name, config, stages.of_scene(of_scene))
            report.scenes[name] = of_scene
        except UserError as error:
            shutil.rmtree(folder / name)
            report.warnings.append(f"{name}, from {start:.1f} s to {scene.stop / FRAME_RATE:.1f} s, left out: {error}")
    if not report.scenes:
        raise UserError(f"{path}: not one of its {len(found.scenes)} scenes is of use; {'; '.join(report.warnings)}")
    sound.unlink()
    report.write(folder / REPORT)
    write_report_page(folder)


def _make_dataset(
    video: Video,
    found: Survey,
    scene: range,
    sound: Path,
    folder: Path,
    config: ProcessConfig,
    stages: Stages,
) -> None:
    """Makes the dataset folder of one scene; `sound` is that of the whole video."""
    report, frames = stages.report, len(scene)
    if frames < LEAST_SECONDS * FRAME_RATE:
        raise UserError(
            f"{video.path}: only {frames / FRAME_RATE:.1f} s long; at least {LEAST_SECONDS:.0f} s are needed"
        )
    num_train = frames - round(config.held_out * frames)
    timeline = Timeline.of(frames, num_train, found.cuts_within(scene))
    camera = None
    if config.camera == "follow":
        camera = find_camera(video, scene, found.size, found.thumbnails, timeline, stages)
    faces = found.faces.within(scene[:num_train], camera)
    boxes = main_person(faces)
    if not len(boxes):
        raise UserError(f"{video.path}: no face found; the video must show one person's face from the front")
    crop = head_and_shoulders(boxes, *found.size)
    if camera:
        crop, timeline = _within_camera(camera, crop, boxes, found.size, timeline, video, report)
    report.frames, report.num_train, report.crop = frames, num_train, crop

    _cut_sound(sound, scene, folder, video, report)

    footage = Footage(video, crop, frames, scene.start, camera)
    several = any(len(boxes) > 1 for boxes in faces)
    tracker = LandmarkTracker.create(config.face_landmarker, alone=not several)
    tracker.follower.place = (np.median(boxes[:, :2], axis=0) - crop[:2]) / crop.side
    tracked = track(footage, folder, config.size, timeline, tracker, stages)
    report.warnings.extend(video.warnings)
    if several or report.frames_with_other_faces:
        report.warnings.append("several faces in the picture; the largest one was taken and followed")
    with stages.stage("torso masks"):
        write_torso_masks(folder, tracked.landmarks)
    with stages.stage("background"):
        _write_background(folder, tracked.timeline, report)
    measured = measure(tracked, footage, config, stages)
    with stages.stage("MFCC and voice"):
        measured |= sound_attributes(read_wav(folder / dataset_folder.AUDIO), frames, num_train)
    _note_sound(measured, report)
    clip = ClipAttributes.of(measured)
    clip.save(folder / dataset_folder.ATTRIBUTES)
    DatasetFolder.write_transforms(
        folder,
        focal_length=report.focal_length * config.size,
        size=(config.size, config.size),
        num_train=num_train,
        head_to_camera=clip.head_to_camera,
    )
    report.write(folder / REPORT)
    write_report_page(folder, clip)


def _cut_sound(sound: Path, scene: range, folder: Path, video: Video, report: Report) -> None:
    """Writes the scene's part of the sound, exactly as long as its frames. It is read again when it is needed: that of
    an hour would take as much memory as all results but the landmarks."""
    per_frame = round(SAMPLE_RATE / FRAME_RATE)
    audio = read_wav(sound, scene.start * per_frame, scene.stop * per_frame)
    missing = len(scene) * per_frame - len(audio)
    if not len(audio) or np.abs(audio).max() < SILENT:
        raise UserError(f"{video.path}: its sound is silent throughout; a talking head needs speech")
    if missing > SAMPLE_RATE // 4:
        report.warnings.append(f"the sound ends {missing / SAMPLE_RATE:.1f} s before the picture")
    write_wav(folder / dataset_folder.AUDIO, np.pad(audio, (0, missing)))


def _note_sound(measured: dict[str, np.ndarray], report: Report) -> None:
    voice = measured["voice"]
    report.voice = float(voice.mean())
    if voice.any():
        report.loudness = float(np.median(measured["loudness"][voice]))
    else:
        report.warnings.append("no speech is recognised in the sound")


def _within_camera(
    camera: Camera,
    wanted: Square,
    boxes: Float[np.ndarray, "N 4"],
    size: tuple[int, int],
    timeline: Timeline,
    video: Video,
    report: Report,
) -> tuple[Square, Timeline]:
    """The square that (nearly) all frames of a moving camera show, and the timeline without those that do not."""
    crop = camera.common_square(wanted, *size, timeline.num_train)
    face = float(np.median(boxes[:, 3]))
    if crop.side < LEAST_SIDE * face:
        raise UserError(
            f"{video.path}: the camera moves so far that its frames share only {crop.side} x {crop.side} pixels, too "
            f"little for a head of that size ({LEAST_SIDE * face:.0f}); film with the camera still, or take it as "
            "still all the same with --camera still"
        )
    shown = camera.shows(crop, *size)
    report.camera_moved, report.camera_shift = True, camera.greatest_shift(*size)
    report.picture_kept = crop.side / wanted.side
    if not shown.all():
        report.warnings.append(
            f"{(~shown).sum()} frames of the moving camera do not show the whole crop; they train nothing and are not "
            "scored"
        )
    return crop, timeline.without(~shown)


def _write_background(folder: Path, timeline: Timeline, report: Report) -> None:
    learnable = np.flatnonzero(timeline.learnable)
    sampled = learnable[np.unique(np.linspace(0, len(learnable) - 1, BACKGROUND_SAMPLES).round().astype(int))]
    images = np.stack([read_image(image_path(folder, number)) for number in sampled])
    alphas = np.stack([read_mask(mask_path(folder, number)) for number in sampled])
    background = uncovered_background(images, alphas)
    write_image(folder / dataset_folder.BACKGROUND, background.image)
    report.background_seen, report.background_changing = float(background.seen.mean()), background.changing
    if background.changing > MUCH_CHANGES:
        report.warnings.append(
            f"{100 * background.changing:.0f} % of the background changes in the film; its usual state is taken"
        )
