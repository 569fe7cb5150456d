"""Table 4: prediction of head motion by several motion models."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_models
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.motion.motion_prediction import MotionPredictionErrors, motion_prediction_errors
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

MOTION_VARIANTS = {
    "MLP VAE": ("mlp", "independent"),
    "LSTM VAE": ("lstm", "independent"),
    "Transformer VAE": ("transformer", "independent"),
    "Transformer GP-VAE": ("transformer", "gaussian-process"),
}
"""Architecture and prior of the motion VAE."""
HORIZON = round(2 * FRAME_RATE)
"""Predicted frames: two seconds."""


@dataclass
class MotionRow:
    """D-Rot and D-Pos in percent of the person's range in the clip; means over 2 s and all held-out windows."""

    windows: int
    """Number of windows."""
    d_rot: float
    d_pos: float
    """D-Rot and D-Pos of the predicted mean."""
    sample_d_rot: float
    sample_d_pos: float
    """D-Rot and D-Pos of one predicted sample."""
    last_pose_d_rot: float
    last_pose_d_pos: float
    """D-Rot and D-Pos of the trivial baseline, which holds the last pose."""


def predict_motion(
    models: AttributeModels, end: Recording, audio: Float[Tensor, "T A"], whole_clip: PoseAxes, horizon: int = HORIZON
) -> MotionPredictionErrors:
    """Errors of predicted motion on a held-out segment of the person's video.

    Args:
        models: the person's models.
        end: the held-out segment.
        audio: f_a of its frames.
        whole_clip: pose of the whole clip, whose range is the unit of the errors.
        horizon: number of predicted frames.
    """
    use = end.valid_frames
    motion = models.motion.encode(end.pose[use], end.torso[use], models.eye.from_opening(end.eye_opening[use]))
    sequences = MotionSequences(motion, audio[use], end.shot[use], torch.ones(len(motion)))
    return motion_prediction_errors(models, models.motion, sequences, pose_range(whole_clip), horizon)


def require_held_out(folder: DatasetFolder) -> None:
    """Checks that the held-out end is long enough for Table 4.

    Raises:
        UserError: if it is too short for a beginning of pose and `HORIZON` predicted frames.
    """
    count, needed = len(folder.held_out_frames), ModelsConfig().cross_modal.bop + HORIZON + 1
    if count < needed:
        raise UserError(
            f"{folder.path}: {count} frames are held out; {needed} are needed to predict two seconds (Table 4); use a "
            "longer video, or leave those rows out by `only`"
        )


def motion_row(folder: DatasetFolder, name: str) -> MotionRow:
    """Trains a motion model on the training part and predicts the held-out end from 16 frames of pose and the audio.

    Args:
        folder: dataset folder with a long enough held-out end (`require_held_out`).
        name: key of `MOTION_VARIANTS`.
    """
    architecture, prior = MOTION_VARIANTS[name]
    options = ModelsConfig()
    options.latent = replace(options.latent, architecture=architecture, prior=prior)
    clip, num_train = folder.attributes, folder.num_train
    models = train_models(clip, num_train, AttributesConfig(models=options, progress=False), str(folder.path))
    end = Recording.from_clip(clip, slice(num_train, None), str(folder.path))
    audio = models.clip_audio(clip.mfcc[num_train * MFCC_PER_FRAME :])
    errors = predict_motion(models, end, audio, pose_axes(clip.head_to_camera[clip.shot >= 0]))
    means = [curve.mean(0).tolist() for curve in (errors.mean, errors.sample, errors.last_pose)]
    return MotionRow(errors.windows, *(round(value, 3) for pair in means for value in pair))
