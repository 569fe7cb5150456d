"""What the trained models reach, measured on frames that trained nothing."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blink_statistics import BlinkHabits
from dfa_nerfstudio.attributes.disentanglement_metrics import readings, swap_figures
from dfa_nerfstudio.attributes.gp_vae_objective import channel_nats
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, in_sync, offsets_by_the_rest, sync_accuracy
from dfa_nerfstudio.data.dataset_folder import ClipAttributes
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

STILL_DEGREES, STILL_PLACE = 0.5, 0.01
"""A head whose angles and place (in eye corner distances) spread by less is said to hardly move."""
WINDOWS = (0.4, 1.0, 2.0)
"""Seconds over which sound and lips are compared."""


@torch.no_grad()
def measure(models: AttributeModels, clip: ClipAttributes, num_train: int) -> dict[str, float]:
    """Figures on the held-out frames; empty where there are none.

    The only place that reads held-out landmarks, and it changes no model.

    Returns:
        Name to value: those of `swap_figures` and `readings`; sync as the share of windows whose best offset is within
        +-1 frame; mouth opening read from f_a by a ridge regression fitted on training frames, as correlation.
    """
    use, held_use = (torch.from_numpy(clip.valid_frames(*part)) for part in ((0, num_train), (num_train, len(clip))))
    if not len(held_use):
        return {}
    landmarks, shot = torch.from_numpy(clip.front_landmarks), torch.from_numpy(clip.shot).long()
    mouth_opening = torch.from_numpy(clip.mouth_opening)[:, None]
    figures = swap_figures(models.autoencoder, landmarks[held_use])
    figures |= readings(models.autoencoder, landmarks[use], landmarks[held_use])

    audio = models.clip_audio(clip.mfcc)
    # Sound of its own stretch only, as if the held-out part were a recording of its own.
    sound = models.clip_audio(clip.mfcc[num_train * MFCC_PER_FRAME :])
    training = slice(num_train)
    for seconds in WINDOWS[1:]:
        window, name = round(seconds * FRAME_RATE), f"{seconds:.0f} s windows"
        parts = (("sync", slice(num_train, None), sound), ("sync in training", training, audio[training]))
        for title, part, heard in parts:
            lips = models.mouth_features(landmarks[part])
            figures[f"{title}, {name}"] = sync_accuracy(heard, lips, window=window, shot=shot[part])
    fitted = (audio[use], mouth_opening[use])
    figures["mouth opening from f_a, correlation"] = ridge_correlation(
        fitted, (audio[held_use], mouth_opening[held_use])
    )[0]
    figures["mouth opening from f_a in training, correlation"] = ridge_correlation(fitted, fitted)[0]
    return figures


@torch.no_grad()
def recording_curves(models: SpeechModels, recording: Recording, late: int = 0) -> Float[Tensor, "F O"]:
    """`frame_curves` of a recording whose sound comes `late` rows late."""
    return frame_curves(
        models.audio.features(recording.in_step(late).mfcc), models.mouth_features(models.faces(recording))
    )


def sync_of(curves: Float[Tensor, "F O"]) -> dict[str, float]:
    """Shares of windows in sync, and of those whose offset is the one that the rest of the recording tells."""
    figures = {}
    for seconds in WINDOWS:
        window = round(seconds * FRAME_RATE)
        if len(curves) >= window:
            windows = curves.unfold(0, window, 1).mean(-1)
            figures[f"sync, {seconds:g} s"] = float(in_sync(windows).mean())
            figures[f"as the rest, {seconds:g} s"] = float(in_sync(windows, offsets_by_the_rest(curves, window)).mean())
    return figures


@torch.no_grad()
def confusion(models: SpeechModels, recordings: list[Recording]) -> Float[Tensor, "N N"]:
    """How well the lips of each recording (row) agree with the sound of each (column): mean cosine at the same time."""
    sounds = [models.audio.features(recording.mfcc) for recording in recordings]
    table = torch.zeros(len(recordings), len(recordings))
    for row, recording in enumerate(recordings):
        lips = models.mouth_features(models.faces(recording))
        for column, sound in enumerate(sounds):
            length = min(len(lips), len(sound))
            use = recording.useful[:length]
            table[row, column] = (lips[:length] * sound[:length]).sum(-1)[use].mean()
    return table


def corpus_figures(models: SpeechModels, recordings: list[Recording], offsets: dict[str, int]) -> dict[str, float]:
    """Figures on recordings that trained nothing, their offsets taken back; means over recordings."""
    if not recordings:
        return {}
    faces = torch.cat([models.faces(recording)[recording.useful] for recording in recordings])
    figures = swap_figures(models.autoencoder, faces)
    each = [sync_of(recording_curves(models, recording, offsets.get(recording.name, 0))) for recording in recordings]
    for name in dict.fromkeys(name for one in each for name in one):
        values = [one[name] for one in each if name in one]
        figures[name] = sum(values) / len(values)
    if len(recordings) > 1:
        right = confusion(models, recordings).argmax(1) == torch.arange(len(recordings))
        figures[f"right sound among {len(recordings)}"] = float(right.float().mean())
    return figures


def latent_channels(models: AttributeModels) -> list[dict[str, float]]:
    """Each channel's length scale in the prior, and its KL (Eq. 8) on training frames: one of none is not used."""
    motion, shot = models.training_motion, models.training_shot
    nats = channel_nats(models.vae, MotionSequences(motion, motion[:, :0], shot, torch.ones(len(shot))))
    return [
        {"length scale, frames": float(scale), "nats a frame": float(value)}
        for scale, value in zip(models.vae.scales, nats, strict=True)
    ]


def remarks(models: AttributeModels) -> list[str]:
    """What a film cannot teach, in words."""
    lines, frames = [], len(models.training_opening)
    if not len(BlinkHabits.of(models.training_opening).shapes):
        lines.append(f"no blink in the {frames / FRAME_RATE:.0f} s that train: generated eyes stay open")
    spread = models.training_motion.std(0) * models.motion.scale
    turn, way = math.degrees(spread[:3].max()), float(spread[3:6].max())
    if turn < STILL_DEGREES and way < STILL_PLACE:
        lines.append(f"the head hardly moves ({turn:.2f} degrees): neither will a generated one")
    return lines


def print_figures(figures: dict[str, float], title: str, console: Console) -> None:
    """A table of figures; nothing where there are none."""
    if not figures:
        return
    table = Table(title, "", title="attribute models", title_justify="left")
    for name, value in figures.items():
        table.add_row(name, "too short to measure" if value != value else f"{value:.3f}")
    console.print(table)
