"""Table 4: which model of motion foretells what the head does next."""

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
from dfa_nerfstudio.evaluation.motion.motion_prediction import Prediction, prediction
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

MOTION = {
    "MLP VAE": ("mlp", "independent"),
    "LSTM VAE": ("lstm", "independent"),
    "Transformer VAE": ("transformer", "independent"),
    "Transformer GP-VAE": ("transformer", "gaussian-process"),
}
"""Architecture and prior of the latent space of motion."""
HORIZON = round(2 * FRAME_RATE)
"""Frames that are foretold."""


@dataclass
class MotionRow:
    """D-Rot and D-Pos, percent of the person's range in the clip; means over 2 s and all held-out windows."""

    windows: int
    d_rot: float
    d_pos: float
    """Of the mean of what is foretold."""
    sample_d_rot: float
    sample_d_pos: float
    """Of one sample."""
    frozen_d_rot: float
    frozen_d_pos: float
    """Of the last pose, held: the trivial baseline."""


def foretell(
    models: AttributeModels, end: Recording, audio: Float[Tensor, "T A"], whole_clip: PoseAxes, horizon: int = HORIZON
) -> Prediction:
    """Predictions over a stretch of the person's film that trained nothing.

    Args:
        models: the person's.
        end: the stretch.
        audio: f_a of its frames.
        whole_clip: by whose range errors are measured.
        horizon: frames that are foretold.
    """
    use = end.useful
    motion = models.motion.encode(end.pose[use], end.torso[use], models.eye.from_opening(end.eye_opening[use]))
    sequences = MotionSequences(motion, audio[use], end.shot[use], torch.ones(len(motion)))
    return prediction(models, models.motion, sequences, pose_range(whole_clip), horizon)


def require_held_out(folder: DatasetFolder) -> None:
    """
    Raises:
        UserError: if too little is held out to foretell `HORIZON` frames after a beginning of pose.
    """
    shown, least = len(folder.held_out_frames), ModelsConfig().cross_modal.bop + HORIZON + 1
    if shown < least:
        raise UserError(
            f"{folder.path}: {shown} frames are held out; {least} are needed to foretell two seconds (Table 4): take a "
            "longer film, or leave those rows out with --only"
        )


def motion_row(folder: DatasetFolder, name: str) -> MotionRow:
    """Trains one of `MOTION` on the training part and foretells the held-out end, from 16 frames of pose and the sound.

    Args:
        folder: holds out enough (`require_held_out`).
        name: of the model.
    """
    architecture, prior = MOTION[name]
    options = ModelsConfig()
    options.latent = replace(options.latent, architecture=architecture, prior=prior)
    clip, num_train = folder.attributes, folder.num_train
    models = train_models(clip, num_train, AttributesConfig(models=options, progress=False), str(folder.path))
    end = Recording.of(clip, slice(num_train, None), str(folder.path))
    audio = models.clip_audio(clip.mfcc[num_train * MFCC_PER_FRAME :])
    found = foretell(models, end, audio, pose_axes(clip.head_to_camera[clip.shot >= 0]))
    means = [curve.mean(0).tolist() for curve in (found.mean, found.sample, found.frozen)]
    return MotionRow(found.windows, *(round(value, 3) for pair in means for value in pair))
