"""By how much the sound of a recording comes late: measured by models that have not seen it, and taken back.

Cameras, converters and web sites shift sound against picture by a few frames, the same all through a recording. An
encoder that is trained on such recordings learns a blur of all their offsets.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.recordings import Recording, frame_weights
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

FARTHEST = 24
"""Rows (10 ms each) within which an offset is looked for."""
SHRINKAGE = 250
"""Frames for which the other recordings of its group speak in the offset of one: three seconds alone say little."""

Fit = Callable[[list[Recording], dict[str, int], SpeechModels | None], SpeechModels]
"""Trains on recordings with their offsets, from the given models on or from the beginning."""


@torch.no_grad()
def agreement(models: SpeechModels, recording: Recording) -> Float[Tensor, " O"]:
    """Mean cosine of lips and sound if the sound came -`FARTHEST` to +`FARTHEST` rows late."""
    count = len(recording)
    audio = models.audio.features(recording.mfcc, chunk=2048, every=1)  # of every row
    mouth = models.mouth_features(models.faces(recording))
    # The same frames at every offset: those for which there is sound at all of them.
    reach = -(-FARTHEST // MFCC_PER_FRAME)
    frames = torch.arange(reach, count - reach)
    frames = frames[recording.useful[frames]]
    if not len(frames):
        return torch.zeros(2 * FARTHEST + 1)
    offsets = torch.arange(-FARTHEST, FARTHEST + 1)
    return torch.stack([(mouth[frames] * audio[MFCC_PER_FRAME * frames + late]).sum(-1).mean() for late in offsets])


def measure_offset(models: SpeechModels, recording: Recording) -> int:
    """By how many rows the sound of a recording that the models have not seen comes late."""
    return int(agreement(models, recording).argmax()) - FARTHEST


def measure_offsets(
    recordings: list[Recording], fit: Fit, unseen: list[Recording] | None = None, rounds: int = 2
) -> dict[str, int]:
    """Offsets of many recordings, none measured by models that were trained on its group.

    The groups are divided into two halves, and models of each half measure the other's offsets, then go on learning
    with their own as the others have measured them. That all recordings are shifted by the same cannot be seen: the
    median group is taken to be in sync.

    Args:
        recordings: of at least two groups.
        fit: trains a half.
        unseen: recordings that no half is trained on; both measure them.
        rounds: how often the halves exchange offsets.

    Returns:
        Rows (10 ms) by recording; empty for a single group, which has nobody to measure it.
    """
    groups: dict[str, list[Recording]] = {}
    for recording in recordings:
        groups.setdefault(recording.group, []).append(recording)
    if len(groups) < 2:
        return {}
    halves: tuple[list[str], list[str]] = ([], [])
    frames = [0, 0]
    for name in sorted(groups, key=lambda name: (-sum(map(len, groups[name])), name)):
        smaller = int(frames[1] < frames[0])
        halves[smaller].append(name)
        frames[smaller] += sum(map(len, groups[name]))

    seen = [[recording for name in half for recording in groups[name]] for half in halves]
    models: list[SpeechModels | None] = [None, None]
    offsets = dict.fromkeys((recording.name for recording in recordings), 0)
    for _ in range(rounds):
        models = [fit(seen[half], offsets, models[half]) for half in range(2)]
        measured: dict[str, int] = {}
        for half, others in enumerate(reversed(models)):
            assert others is not None
            for name in halves[half]:
                measured |= _of_group(others, groups[name])
        # What a half calls in sync is the mean of its own recordings. By how much the two differ in this, each says of
        # the other.
        step = [_mean(offsets, half) - _mean(measured, half) for half in seen]
        between = round((step[0] - step[1]) / 2)
        offsets = measured | {recording.name: measured[recording.name] + between for recording in seen[0]}
        middle = round(float(torch.tensor([_mean(offsets, group) for group in groups.values()]).median()))
        offsets = {name: late - middle for name, late in offsets.items()}
    both = [half for half in models if half is not None]
    for recording in unseen or []:  # in step with recordings whose offsets are already taken back
        offsets[recording.name] = (
            int(torch.stack([agreement(half, recording) for half in both]).sum(0).argmax()) - FARTHEST
        )
    return offsets


def _of_group(models: SpeechModels, group: list[Recording]) -> dict[str, int]:
    curves = {recording.name: len(recording) * agreement(models, recording) for recording in group}
    total, frames = torch.stack(list(curves.values())).sum(0), sum(map(len, group))
    return {name: int((curve + SHRINKAGE * total / frames).argmax()) - FARTHEST for name, curve in curves.items()}


def _mean(offsets: dict[str, int], recordings: list[Recording]) -> float:
    """Over frames, a group counting as it does in training."""
    drawn = frame_weights(recordings)
    weights = [int(recording.useful.sum()) * drawn[recording.name] for recording in recordings]
    late = [offsets[recording.name] for recording in recordings]
    return sum(weight * rows for weight, rows in zip(weights, late, strict=True)) / sum(weights)
