"""Pairs of a predicted and a true video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from dfa_nerfstudio.data.audio_features import FileFeature
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.cross_driven import CrossDrivenClip, LipPredictor
from dfa_nerfstudio.evaluation.frame_arrays import Frames, VideoFrames, frames_on_disk
from dfa_nerfstudio.evaluation.reference_head import DEFAULT_FOCAL_LENGTH
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.images import read_image
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.talk.frame_renderer import render_track
from dfa_nerfstudio.talk.load_model import load_model

Mismatch = Literal["align", "refuse"]
MEAN_IMAGE = "mean training image"
"""Name of the baseline that `mean_image_pair` shows."""


@dataclass
class VideoPair:
    """T predicted and T true frames at 25 frames/s, with their audio."""

    name: str
    prediction: Frames
    truth: Frames
    valid_frames: Bool[np.ndarray, " T"]
    """Whether each frame is scored."""
    audio: Float32[np.ndarray, " S"] | None
    """Audio of the prediction at 16 kHz, beginning with the first frame; None for a video without audio."""
    true_audio: Float32[np.ndarray, " S"] | None
    """Audio of the truth, likewise."""
    focal_length: float = DEFAULT_FOCAL_LENGTH
    """Focal length of the camera in frame widths."""
    source: str = "rendered frames"
    """Origin of the frames, for the report."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the reader of the report."""
    cross_driven: list[CrossDrivenClip] = field(default_factory=list)
    """Videos that the same model renders for other audio."""

    def __len__(self) -> int:
        return len(self.truth)


def held_out_pair(
    config_path: Path,
    speech: Sequence[Path] = (),
    data: Path | None = None,
    predict_lips: LipPredictor | None = None,
) -> VideoPair:
    """Renders the held-out end of a model's clip with its own audio and motion (self-reconstruction).

    Args:
        config_path: the run's `config.yml`.
        speech: audio files for which the model renders `cross_driven` videos; ignored, with a note, if it is
            conditioned on features from a file.
        data: the dataset folder, if it has moved.
        predict_lips: predicts f_m in the place of the person's own lip model.

    Raises:
        UserError: if there is no such run, nothing of its clip is held out, or an audio file cannot be used.
    """
    model: Renderer = load_model(config_path, data)
    folder = DatasetFolder.open(model.clip.folder)
    if not len(folder.held_out_frames):
        raise UserError(
            f"{folder.path}: no frame is held out, and metrics on training frames do not measure generalisation; "
            "run dfa-process again with some `held_out` frames, then dfa-attributes and ns-train"
        )
    times = torch.from_numpy(folder.times.frames[folder.num_train :]) / (folder.num_frames - 1)
    notes = []
    if speech and model.clip.track.mouth_kind.name == FileFeature.NAME:
        notes.append(
            f"the model is conditioned on {model.clip.track.mouth_kind}, which do not exist for other speech: the "
            "cross-driven metrics are left out"
        )
        speech = ()
    track = model.clip.track
    if predict_lips is not None:  # before interpolation: the video may have another frame rate
        own = track.mouth[: folder.num_train]
        track = replace(track, mouth=torch.cat([own, predict_lips(None).to(own)]))
    track = track.at(times)
    pair = _beside_held_out(folder, config_path.parent.parent.name, frames_on_disk(render_track(model, track)))
    cross_driven = [CrossDrivenClip.render(model, path, predict_lips=predict_lips) for path in speech]
    return replace(pair, notes=notes, cross_driven=cross_driven)


def mean_image_pair(folder: DatasetFolder) -> VideoPair:
    """Shows the mean training image in the place of every held-out frame: a trivial baseline.

    Args:
        folder: a dataset folder with a held-out end.
    """
    total = sum(read_image(path).astype(np.float64) for path in _image_paths(folder, folder.train_frames))
    mean = np.uint8(np.round(total / len(folder.train_frames)))
    held_out = folder.num_frames - folder.num_train
    return _beside_held_out(folder, MEAN_IMAGE, np.broadcast_to(mean, (held_out, *mean.shape)))


def _beside_held_out(folder: DatasetFolder, name: str, prediction: Frames) -> VideoPair:
    """Pairs a prediction of the held-out end with the true frames and their audio."""
    audio = folder.held_out_audio()
    return VideoPair(
        name=f"{folder.path.resolve().name}, {name}",
        prediction=prediction,
        truth=frames_on_disk(map(read_image, _image_paths(folder, range(folder.num_train, folder.num_frames)))),
        valid_frames=folder.attributes.shot[folder.num_train :] >= 0,
        audio=audio,
        true_audio=audio,
        focal_length=folder.meta["fl_x"] / folder.size[0],
    )


def _image_paths(folder: DatasetFolder, frames: Iterable[int]) -> Iterator[Path]:
    return (folder.path / folder.meta["frames"][frame]["file_path"] for frame in frames)


def video_pair(video: Path, reference: Path, mismatch: Mismatch = "align") -> VideoPair:
    """Reads two videos of any origin that begin at the same moment.

    Args:
        video: the predicted video.
        reference: the true video.
        mismatch: *align* cuts the longer video and resizes the prediction to the truth's size, with a note; *refuse*
            raises an error. Other frame rates are always converted to 25 frames/s.

    Raises:
        UserError: for unreadable or empty videos, and for a mismatch that is refused.
    """
    predicted_video, true_video = Video(video), Video(reference)
    truth = VideoFrames(lambda: map(to_rgb, true_video.frames()))
    height, width = truth.shape[1:3]
    resized = set[tuple[int, int]]()

    def resized_frames() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        for frame in map(to_rgb, predicted_video.frames()):
            if frame.shape != truth.shape[1:]:
                if mismatch == "refuse":
                    raise UserError(
                        f"{video}: {frame.shape[1]}x{frame.shape[0]} pixels, {reference} has {width}x{height}; "
                        "`mismatch=align` resizes"
                    )
                resized.add((frame.shape[1], frame.shape[0]))
                frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            yield frame

    prediction = VideoFrames(resized_frames)
    notes = [f"{video}: {w}x{h} pixels, resized to {width}x{height}" for w, h in resized]
    count = min(len(prediction), len(truth))
    if len(prediction) != len(truth):
        lengths = f"{video} has {len(prediction)} frames, {reference} {len(truth)}"
        if mismatch == "refuse":
            raise UserError(f"{lengths}; `mismatch=align` scores the frames that both have")
        notes.append(f"{lengths}: the first {count} are scored")
    for one in (predicted_video, true_video):
        if round(one.source_frame_rate, 2) != FRAME_RATE:
            notes.append(f"{one.path}: {one.source_frame_rate:.4g} frames/s, converted to {FRAME_RATE:g}")
        if not one.has_audio:
            notes.append(f"{one.path}: has no audio, so lips and audio are not scored")
        notes += [f"{one.path}: {warning}" for warning in one.warnings]
    return VideoPair(
        name=f"{video.name} against {reference.name}",
        prediction=prediction.first(count),
        truth=truth.first(count),
        valid_frames=np.ones(count, bool),
        audio=read_audio(video) if predicted_video.has_audio else None,
        true_audio=read_audio(reference) if true_video.has_audio else None,
        source="two decoded videos",
        notes=notes,
    )
