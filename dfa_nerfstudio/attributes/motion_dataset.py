"""Prepares the training data of section 3.4: standardised motion h and f_a of recordings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording, concatenated_shots, sampling_weights


@torch.no_grad()
def fit_motion_space(
    models: PretrainedModels,
    recording: Recording,
    eye: EyeEmbedding,
    space: MotionSpace,
    scale: Float[Tensor, " C"] | None = None,
) -> Float[Tensor, "T C"]:
    """Fits `eye` and `space` to the valid frames of a recording and returns their h.

    Args:
        models: models with trained F_d.
        recording: training frames.
        eye: eye embedding to fit, with the F_d of the models.
        space: motion space to fit, of the same size as that of the models.
        scale: see `MotionSpace.fit`.
    """
    valid = recording.valid_frames
    opening = recording.eye_opening[valid]
    eye.fit(models.faces(recording)[valid], opening)
    return space.fit(recording.pose[valid], recording.torso[valid], eye.from_opening(opening), scale)


@torch.no_grad()
def own_motion_sequences(models: AttributeModels, recording: Recording) -> MotionSequences:
    """Computes h and f_a of frames of the person that the models were trained on, in the person's own motion space.

    Args:
        models: the person's models.
        recording: frames of the person, their audio corrected for its delay.
    """
    valid = recording.valid_frames
    eye = models.eye.from_opening(recording.eye_opening[valid])
    motion = models.motion.encode(recording.pose[valid], recording.torso[valid], eye)
    audio = models.audio.features(recording.mfcc)[valid]
    return MotionSequences(motion, audio, recording.shot[valid], torch.ones(len(motion)))


@torch.no_grad()
def reference_scale(models: PretrainedModels, recordings: list[Recording]) -> Float[Tensor, " C"]:
    """Computes the scale of each channel of h: the root mean square, over people, of its deviation from the mean of the
    recording.

    All recordings share one scale, because a calm head is not a scaled-down version of one that moves much, and seconds
    of video do not determine a scale.
    """
    sampling_weight = sampling_weights(recordings)
    total, weights = torch.zeros(models.motion.dim), 0.0
    for recording in recordings:
        space = MotionSpace(models.config.disentangling.eye_dim)
        fit_motion_space(models, recording, EyeEmbedding(models.autoencoder), space)
        weight = sampling_weight[recording.name] * float(recording.valid_frames.sum())
        total, weights = total + weight * space.scale.square(), weights + weight
    return (total / weights).sqrt()


@torch.no_grad()
def prepare_motion_sequences(
    models: PretrainedModels, recordings: list[Recording], offsets: dict[str, int] | None = None
) -> MotionSequences:
    """Computes h and f_a of recordings; h is relative to the recording's mean pose, in the scale of `models.motion`.

    Args:
        models: models with trained F_d and E_a.
        recordings: one or more recordings.
        offsets: audio delay in MFCC rows (10 ms) by name of the recording; 0 for names that are missing.
    """
    offsets, sampling_weight = offsets or {}, sampling_weights(recordings)
    motions, audio, shots, weights = [], [], [], []
    for recording, shot in zip(recordings, concatenated_shots(recordings), strict=True):
        valid = recording.valid_frames
        space = MotionSpace(models.config.disentangling.eye_dim)
        eye = EyeEmbedding(models.autoencoder)
        motions.append(fit_motion_space(models, recording, eye, space, models.motion.scale))
        audio.append(models.audio.features(recording.shift_audio(offsets.get(recording.name, 0)).mfcc)[valid])
        shots.append(shot[valid])
        weights.append(torch.full((int(valid.sum()),), sampling_weight[recording.name]))
    return MotionSequences(torch.cat(motions), torch.cat(audio), torch.cat(shots), torch.cat(weights))
