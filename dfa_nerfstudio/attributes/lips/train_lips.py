"""Trains the lip model: the space, the network, and the cross-fitted predictions that restore variance."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLips
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels, smooth
from dfa_nerfstudio.attributes.lips.lip_objective import LipObjective, LipSequence
from dfa_nerfstudio.attributes.lips.lip_space import LipSpace
from dfa_nerfstudio.attributes.recordings import Recording, sampling_weights

if TYPE_CHECKING:
    from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer

FOLD_MARGIN = 12
"""Frames on either side of a predicted part that are not used for training, because lips of neighbouring frames are
alike."""
MIN_FOLD_FRAMES = 100
"""Shortest part of the training frames that is predicted by models of the others."""


def train_lips(
    models: LipModels,
    trainer: AttributeTrainer,
    recordings: list[Recording],
    pretrained: LipModels | None = None,
    share: float = 1.0,
) -> None:
    """Trains on one person's recordings, the first of which is the video that the field is trained on.

    Args:
        models: the models to train, in place.
        trainer: runs the training.
        recordings: the person's recordings; their audio delays are corrected already.
        pretrained: models of other people, of the same configuration, from which training starts.
        share: share of the training steps.
    """
    main = recordings[0]
    models.space.fit(main.expression[main.valid_frames])
    if pretrained is None:
        features = torch.cat([recording.speech[recording.valid_frames] for recording in recordings])
        models.network.set_statistics(features)
    else:
        models.warm_start(pretrained)
    start = copy.deepcopy(models.network)
    sequences = [lip_sequence(models.network, models.space, main)]
    for other in recordings[1:]:
        space = models.space.recentred(other.expression[other.valid_frames])
        sequences.append(lip_sequence(models.network, space, other))
    name = "audio to lips"
    trainer.run(LipObjective(models.network, LipSequence.join(sequences)), models.config.fit, name, share)
    predicted, frames = cross_fit(start, trainer, sequences, main, share)
    voiced = frames[main.voice[frames]]
    if len(voiced) > 1:
        true = models.space.encode(main.expression[voiced])
        models.restoration.fit(true, predicted[voiced])
        restored = models.restoration.restore(predicted[voiced])
        gaps = models.space.opening(restored), models.space.opening(true)
        models.gap_restoration.fit(true, *gaps, models.space.gap_slope())


def pretrain_lips(models: LipModels, trainer: AttributeTrainer, recordings: list[Recording]) -> None:
    """Trains on recordings of many people, each with its own mean and amplitude of lip motion."""
    weights = sampling_weights(recordings)
    displacements = []
    for recording in recordings:
        own = recording.expression[recording.valid_frames]
        own = own - own.mean(0)
        displacements.append(own / own.square().mean().sqrt() * weights[recording.name])
    models.space.fit(torch.cat(displacements))
    models.network.set_statistics(torch.cat([recording.speech[recording.valid_frames] for recording in recordings]))
    sequences = []
    for recording in recordings:
        sequence = lip_sequence(models.network, own_space(models.space, recording), recording)
        sequence.weight *= weights[recording.name]
        sequences.append(sequence)
    objective = LipObjective(models.network, LipSequence.join(sequences))
    trainer.run(objective, models.config.fit, "audio to lips", models.config.pretrain_factor)


def own_space(shared: LipSpace, recording: Recording) -> LipSpace:
    """The shared space with the mean and the scale of one recording."""
    expression = recording.expression[recording.valid_frames]
    space = shared.recentred(expression)
    space.scale = (space.centred(expression) @ space.basis[0]).std()
    return space


def lip_sequence(network: AudioToLips, space: LipSpace, recording: Recording) -> LipSequence:
    """Training data of one recording."""
    features = network.standardise(recording.speech)
    past, future = network.past, network.future
    features = torch.cat([features[:1].expand(past, -1), features, features[-1:].expand(future, -1)])
    lips = space.encode(recording.expression)
    opening = space.opening(lips)
    valid = recording.valid_frames
    mean, std = opening[valid].mean(), opening[valid].std().clamp(min=1e-6)
    return LipSequence(
        features=features,
        row=torch.arange(len(recording)) + past,
        lips=lips,
        gap=(opening - mean) / std,
        gap_slope=(space.gap_slope() / std).expand(len(recording), -1),
        shot=recording.shot.clone(),
        weight=torch.ones(len(recording)),
    )


def cross_fit(
    start: AudioToLips, trainer: AttributeTrainer, sequences: list[LipSequence], main: Recording, share: float
) -> tuple[Float[Tensor, "T K"], Int[Tensor, " N"]]:
    """Predicts each contiguous part of the main recording by a network that is trained on everything else.

    Returns:
        The predictions (zero where there are none), and the frames that have one.
    """
    num_folds = start.config.folds if len(main) >= start.config.folds * MIN_FOLD_FRAMES else 0
    predicted, frames = torch.zeros_like(sequences[0].lips), []
    edges = torch.linspace(0, len(main), num_folds + 1).long().tolist()
    for fold, (first, stop) in enumerate(pairwise(edges)):
        left_out = copy.copy(sequences[0])
        left_out.shot = left_out.shot.clone()
        left_out.shot[max(first - FOLD_MARGIN, 0) : stop + FOLD_MARGIN] = -1
        if not (left_out.shot >= 0).any():
            continue
        network = copy.deepcopy(start)
        objective = LipObjective(network, LipSequence.join([left_out, *sequences[1:]]))
        trainer.run(objective, start.config.fit, f"lip variance {fold + 1} of {num_folds}", share)
        smoothed = smooth(network.stream([main.speech]), LipConfig.smooth_lips)
        predicted[first:stop] = torch.cat(list(smoothed))[first:stop]
        frames.append(first + torch.nonzero(main.valid_frames[first:stop]).flatten())
    return predicted, torch.cat(frames) if frames else torch.zeros(0, dtype=torch.long)
