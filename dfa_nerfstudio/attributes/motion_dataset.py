"""From recordings to the motion that the models of section 3.4 learn from."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.attributes.recordings import Recording, frame_weights, shots_in_a_row


@torch.no_grad()
def learn_motion(
    models: GeneralModels,
    recording: Recording,
    eye: EyeEmbedding,
    space: MotionSpace,
    scale: Float[Tensor, " C"] | None = None,
) -> Float[Tensor, "T C"]:
    """h of a recording's useful frames, by which `eye` and `space` are set.

    Args:
        models: of which F_d is trained.
        recording: training frames.
        eye: with the F_d of the models.
        space: of the same size.
        scale: see `MotionSpace.learn`.
    """
    use = recording.useful
    opening = recording.eye_opening[use]
    eye.learn(models.faces(recording)[use], opening)
    return space.learn(recording.pose[use], recording.torso[use], eye.from_opening(opening), scale)


@torch.no_grad()
def usual_scale(models: GeneralModels, recordings: list[Recording]) -> Float[Tensor, " C"]:
    """Of each channel of h: the root mean square over people of how far it usually is from a recording's mean.

    One scale for all, and not each recording's own: a calm head is not a lively one made small, and seconds of film
    tell no scale.
    """
    drawn = frame_weights(recordings)
    total, weights = torch.zeros(models.motion.dim), 0.0
    for recording in recordings:
        space = MotionSpace(models.config.disentangling.eye_dim)
        learn_motion(models, recording, EyeEmbedding(models.autoencoder), space)
        weight = drawn[recording.name] * float(recording.useful.sum())
        total, weights = total + weight * space.scale.square(), weights + weight
    return (total / weights).sqrt()


@torch.no_grad()
def motion_sequences(
    models: GeneralModels, recordings: list[Recording], offsets: dict[str, int] | None = None
) -> MotionSequences:
    """Of recordings, each about its own mean posture, in the scale of `models.motion`.

    Args:
        models: of which F_d and E_a are trained.
        recordings: one or more.
        offsets: by how many rows (10 ms) the sound of a recording comes late; 0 for those it does not name.
    """
    offsets, drawn = offsets or {}, frame_weights(recordings)
    motions, sounds, shots, weights = [], [], [], []
    for recording, shot in zip(recordings, shots_in_a_row(recordings), strict=True):
        use = recording.useful
        space = MotionSpace(models.config.disentangling.eye_dim)
        motions.append(learn_motion(models, recording, EyeEmbedding(models.autoencoder), space, models.motion.scale))
        sounds.append(models.audio.features(recording.in_step(offsets.get(recording.name, 0)).mfcc)[use])
        shots.append(shot[use])
        weights.append(torch.full((int(use.sum()),), drawn[recording.name]))
    return MotionSequences(torch.cat(motions), torch.cat(sounds), torch.cat(shots), torch.cat(weights))
