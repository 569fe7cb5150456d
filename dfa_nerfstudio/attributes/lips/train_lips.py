"""Fits the lip model: the space, the regressions, and the cross-fitted predictions that restore variance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLips, standardise, statistics
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.lips.lip_space import LipSpace
from dfa_nerfstudio.attributes.lips.shape_projection import project_to_shapes
from dfa_nerfstudio.attributes.lips.window_regression import evenly_spaced
from dfa_nerfstudio.attributes.recordings import Recording, sampling_weights
from dfa_nerfstudio.reporting.progress import report_progress

FOLD_MARGIN = 12
"""Frames on either side of a predicted part that are not used for training, because lips of neighbouring frames are
alike."""
MIN_FOLD_FRAMES = 50
"""Shortest part of the training frames that is predicted by models of the others."""
MAX_GAIN = 3.0
"""Largest factor on the lip motion that a model of other people predicts."""
MAX_GAP_FRAMES, PROJECTED_AT_ONCE = 4000, 500
"""Largest number of frames that the distribution of the lip gap is measured in, and of those projected at once."""


@dataclass
class LipFrames:
    """N training frames, of one recording or of several."""

    features: Float[Tensor, "R D"]
    """Reduced audio features; those of each recording are extended at both ends by the model's context."""
    centres: Int[Tensor, " N"]
    """Index of each training frame in `features`."""
    lips: Float[Tensor, "N K"]
    """True lip components."""
    general: Float[Tensor, "N K"]
    """Those that the model of many people predicts."""

    @classmethod
    def of(cls, predictor: AudioToLips, space: LipSpace, recording: Recording) -> LipFrames:
        """The valid frames of a recording, whose audio features are standardised by its own statistics, because each
        recording has its own microphone."""
        valid, config = recording.valid_frames, predictor.config
        features = standardise(recording.speech, *statistics(recording.speech[valid])) @ predictor.basis.T
        before, after = features[:1].expand(config.past, -1), features[-1:].expand(config.look_ahead, -1)
        centres = torch.nonzero(valid).flatten()
        lips = space.encode(recording.expression)[valid]
        return cls(torch.cat([before, features, after]), centres + config.past, lips, torch.zeros_like(lips))

    @classmethod
    def join(cls, parts: list[LipFrames]) -> LipFrames:
        """Concatenates the frames of several recordings."""
        starts = torch.tensor([0, *(len(part.features) for part in parts)]).cumsum(0)
        centres = torch.cat([part.centres + start for part, start in zip(parts, starts, strict=False)])
        names = ("features", "lips", "general")
        return cls(centres=centres, **{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def __getitem__(self, chosen: Bool[Tensor, " N"] | Int[Tensor, " M"]) -> LipFrames:
        return LipFrames(self.features, self.centres[chosen], self.lips[chosen], self.general[chosen])


@torch.no_grad()
def train_lips(models: LipModels, recordings: list[Recording], pretrained: LipModels | None = None) -> None:
    """Fits the models to one person's recordings, the first of which is the video that the field is trained on.

    Args:
        models: the models to fit, in place.
        recordings: the person's recordings; their audio delays are corrected already.
        pretrained: models of other people, with the same `AudioToLipsConfig.inputs`, which the person's correct.
    """
    report_progress("training: lips")
    main, predictor = recordings[0], models.predictor
    models.space.fit(main.expression[main.valid_frames])
    speech = main.speech[main.valid_frames]
    predictor.set_statistics(speech)
    change = torch.zeros_like(predictor.change)
    if pretrained is None:
        predictor.set_basis(standardise(speech, predictor.feature_mean, predictor.feature_std))
    else:
        predictor.basis = pretrained.predictor.basis.clone()
        predictor.general.load_state_dict(pretrained.predictor.general.state_dict())
        change = models.space.basis_change(pretrained.space)
    parts = [LipFrames.of(predictor, models.space, main)]
    for other in recordings[1:]:
        space = models.space.recentred(other.expression[other.valid_frames])
        parts.append(LipFrames.of(predictor, space, other))
    frames = LipFrames.join(parts)
    frames.general = predictor.general(frames.features)[frames.centres - predictor.config.past] @ change.T
    predicted, part = cross_fit(models, frames, change, main)
    fit_person(models, frames, change)
    fit_restoration(models, main, predicted, part)


def fit_restoration(
    models: LipModels, main: Recording, predicted: Float[Tensor, "T K"], part: Int[Tensor, " T"]
) -> None:
    """Measures the distributions of true and of cross-fitted lips in voiced frames.

    Args:
        models: the models, with a fitted lip space.
        main: the main recording.
        predicted: its cross-fitted predictions.
        part: see `cross_fit`.
    """
    if (part < 0).all():  # too short: new audio is compared with the true lips instead
        predicted, part = models.space.encode(main.expression), torch.where(main.valid_frames, 0, -1)
    voiced = torch.nonzero((part >= 0) & main.voice).flatten()
    if len(voiced) < 2:
        return
    true = models.space.encode(main.expression[voiced])
    models.restoration.fit(true, predicted[voiced])
    chosen = evenly_spaced(len(voiced), MAX_GAP_FRAMES)
    restored, true, part = models.restoration.restore(predicted[voiced[chosen]]), true[chosen], part[voiced[chosen]]
    projected = torch.empty_like(restored)
    for number in part.unique():
        own = part == number
        others = true if own.all() else true[~own]  # as for new audio, whose lips are not among the shapes
        nearest = [project_to_shapes(some, others) for some in restored[own].split(PROJECTED_AT_ONCE)]
        projected[own] = torch.cat(nearest)
    gaps = models.space.opening(projected), models.space.opening(true)
    models.gap_restoration.fit(true, *gaps, models.space.gap_slope())


def fit_person(models: LipModels, frames: LipFrames, change: Float[Tensor, "K K"]) -> None:
    """Fits the person's own regression to what the model of many people leaves.

    That model's lip motion is scaled first, because each person moves the lips as far as they do: by the factor that
    fits the lip gap best.
    """
    predictor, config, slope = models.predictor, models.config, models.space.gap_slope()
    predicted, true = ((lips - lips.mean(0)) @ slope for lips in (frames.general, frames.lips))
    gain = ((predicted @ true) / (predicted @ predicted).clamp(min=1e-9)).clamp(0, MAX_GAIN)
    predictor.change = gain * change
    rest = frames.lips - gain * frames.general
    predictor.own.fit(frames.features, frames.centres, rest, config.noise, config.max_frames)


def cross_fit(
    models: LipModels, frames: LipFrames, change: Float[Tensor, "K K"], main: Recording
) -> tuple[Float[Tensor, "T K"], Int[Tensor, " T"]]:
    """Predicts each contiguous part of the main recording by a model that is fitted to everything else.

    Returns:
        The predictions, and the number of the part of each frame; -1 for frames without a prediction.
    """
    folds, past = models.config.folds, models.config.past
    folds = folds if len(main) >= folds * MIN_FOLD_FRAMES else 0
    predicted, part = torch.zeros(len(main), models.config.num_components), torch.full((len(main),), -1)
    edges = torch.linspace(0, len(main), folds + 1).long().tolist()
    for number, (first, stop) in enumerate(pairwise(edges)):
        position = frames.centres - past  # frame number, in the main recording, which comes first
        kept = (position < first - FOLD_MARGIN) | (position >= stop + FOLD_MARGIN)
        if not kept.any():
            continue
        fit_person(models, frames[kept], change)
        predicted[first:stop] = models.predictor(frames.features[first : stop + past + models.config.look_ahead])
        part[first:stop] = torch.where(main.valid_frames[first:stop], number, -1)
    return predicted, part


@torch.no_grad()
def pretrain_lips(models: LipModels, recordings: list[Recording]) -> None:
    """Fits the models to recordings of many people, each with its own mean and amplitude of lip motion."""
    predictor, config, weights = models.predictor, models.config, sampling_weights(recordings)
    displacements = []
    for recording in recordings:
        own = recording.expression[recording.valid_frames]
        own = own - own.mean(0)
        displacements.append(own / own.square().mean().sqrt() * weights[recording.name])
    models.space.fit(torch.cat(displacements))
    speech = [recording.speech[recording.valid_frames] for recording in recordings]
    predictor.set_statistics(torch.cat(speech))
    predictor.set_basis(torch.cat([standardise(one, *statistics(one)) for one in speech]))
    total = sum(weights[recording.name] * int(recording.valid_frames.sum()) for recording in recordings)
    parts = []
    for recording in recordings:
        part = LipFrames.of(predictor, own_space(models.space, recording), recording)
        count = round(config.max_general_frames * weights[recording.name] * len(part.lips) / total)
        parts.append(part[evenly_spaced(len(part.lips), max(count, 1))])
    frames = LipFrames.join(parts)
    predictor.general.fit(frames.features, frames.centres, frames.lips, config.noise, len(frames.lips))


def own_space(shared: LipSpace, recording: Recording) -> LipSpace:
    """The shared space with the mean and the scale of one recording."""
    expression = recording.expression[recording.valid_frames]
    space = shared.recentred(expression)
    space.scale = (space.centred(expression) @ space.basis[0]).std()
    return space
