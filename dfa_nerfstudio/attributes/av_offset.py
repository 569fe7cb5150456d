"""Measures the audio-visual offset of recordings with encoders that were not trained on them.

Cameras, converters and web sites shift audio against video by a few frames, by a constant amount within a recording.
An encoder that is trained on uncorrected recordings learns a mixture of all their offsets, so they are measured and
corrected first. An offset is the delay of the audio in MFCC rows (10 ms); positive where the audio is late.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.recordings import Recording, sampling_weights
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

MAX_OFFSET_ROWS = 24
"""Largest offset that is searched, in MFCC rows (10 ms) in either direction."""
SHRINKAGE = 250
"""Weight, in frames, of the mean curve of a group in the offset of each of its recordings, because a recording of a few
seconds determines its offset poorly."""

TrainHalf = Callable[[list[Recording], dict[str, int], SpeechModels | None], SpeechModels]
"""Trains on recordings with their offsets, starting from the given models, or from scratch."""


@torch.no_grad()
def offset_curve(models: SpeechModels, recording: Recording) -> Float[Tensor, " O"]:
    """Computes the mean cosine of lips and audio for each assumed audio delay from -`MAX_OFFSET_ROWS` to
    +`MAX_OFFSET_ROWS` rows; zeros for a recording that is too short."""
    count = len(recording)
    audio = models.audio.features(recording.mfcc, chunk=2048, every=1)  # of every row
    mouth = models.mouth_features(models.faces(recording))
    # The same frames at every offset: those that have audio at all of them.
    reach = -(-MAX_OFFSET_ROWS // MFCC_PER_FRAME)
    frames = torch.arange(reach, count - reach)
    frames = frames[recording.valid_frames[frames]]
    if not len(frames):
        return torch.zeros(2 * MAX_OFFSET_ROWS + 1)
    offsets = torch.arange(-MAX_OFFSET_ROWS, MAX_OFFSET_ROWS + 1)
    return torch.stack([(mouth[frames] * audio[MFCC_PER_FRAME * frames + o]).sum(-1).mean() for o in offsets])


def measure_offset(models: SpeechModels, recording: Recording) -> int:
    """Measures the offset of a recording that the models were not trained on."""
    return _best_offset(offset_curve(models, recording))


def cross_fit_offsets(
    recordings: list[Recording], train_half: TrainHalf, unseen: list[Recording] | None = None, rounds: int = 2
) -> dict[str, int]:
    """Measures the offsets of many recordings by cross-fitting: with models that were not trained on their group.

    The groups are divided into two halves, and models of each half measure the offsets of the other. Then both are
    trained further with the measured offsets of their own half. A shift that is common to all recordings cannot be
    observed, so the median group is defined to have no offset.

    Args:
        recordings: recordings of at least two groups.
        train_half: trains models on one half.
        unseen: recordings that neither half is trained on; the models of both halves measure them.
        rounds: number of times that the halves exchange offsets.

    Returns:
        Offset by name of the recording; empty for a single group, which cannot be cross-fitted.
    """
    groups: dict[str, list[Recording]] = {}
    for recording in recordings:
        groups.setdefault(recording.group, []).append(recording)
    if len(groups) < 2:
        return {}
    halves: tuple[list[str], list[str]] = ([], [])
    num_frames = [0, 0]
    for name in sorted(groups, key=lambda name: (-sum(map(len, groups[name])), name)):
        smaller = int(num_frames[1] < num_frames[0])
        halves[smaller].append(name)
        num_frames[smaller] += sum(map(len, groups[name]))

    members = [[recording for name in half for recording in groups[name]] for half in halves]
    models: list[SpeechModels | None] = [None, None]
    offsets = dict.fromkeys((recording.name for recording in recordings), 0)
    for _ in range(rounds):
        models = [train_half(members[half], offsets, models[half]) for half in range(2)]
        measured: dict[str, int] = {}
        for half, others in enumerate(reversed(models)):
            assert others is not None
            for name in halves[half]:
                measured |= _group_offsets(others, groups[name])
        # Zero offset means, for models of a half, the mean offset of their own recordings. Each half measures by how
        # much the two means differ.
        shift = [_mean_offset(offsets, half) - _mean_offset(measured, half) for half in members]
        difference = round((shift[0] - shift[1]) / 2)
        offsets = measured | {recording.name: measured[recording.name] + difference for recording in members[0]}
        median = round(float(torch.tensor([_mean_offset(offsets, group) for group in groups.values()]).median()))
        offsets = {name: offset - median for name, offset in offsets.items()}
    both = [half for half in models if half is not None]
    for recording in unseen or []:  # relative to recordings whose offsets are already corrected
        offsets[recording.name] = _best_offset(torch.stack([offset_curve(half, recording) for half in both]).sum(0))
    return offsets


def _best_offset(curve: Float[Tensor, " O"]) -> int:
    return int(curve.argmax()) - MAX_OFFSET_ROWS


def _group_offsets(models: SpeechModels, group: list[Recording]) -> dict[str, int]:
    """Offset of each recording of a group, shrunk towards the offset of the group."""
    curves = {recording.name: len(recording) * offset_curve(models, recording) for recording in group}
    total, num_frames = torch.stack(list(curves.values())).sum(0), sum(map(len, group))
    return {name: _best_offset(curve + SHRINKAGE * total / num_frames) for name, curve in curves.items()}


def _mean_offset(offsets: dict[str, int], recordings: list[Recording]) -> float:
    """Mean offset over frames, weighted as the frames are in training."""
    weight = sampling_weights(recordings)
    weights = [int(recording.valid_frames.sum()) * weight[recording.name] for recording in recordings]
    rows = [offsets[recording.name] for recording in recordings]
    return sum(w * offset for w, offset in zip(weights, rows, strict=True)) / sum(weights)
