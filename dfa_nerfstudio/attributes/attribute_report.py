"""Metrics of trained models on frames and recordings that were not used for training."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blink_statistics import BlinkStatistics
from dfa_nerfstudio.attributes.disentanglement_metrics import probe_metrics, swap_metrics
from dfa_nerfstudio.attributes.gp_vae_objective import channel_kl
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, is_in_sync, leave_window_out_offsets, sync_accuracy
from dfa_nerfstudio.data.dataset_folder import ClipAttributes
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement

STILL_DEGREES, STILL_DISTANCE = 0.5, 0.01
"""Standard deviations of head rotation (degrees) and head position (distances of the outer eye corners) below which
the head is reported as still."""
SYNC_WINDOWS = (0.4, 1.0, 2.0)
"""Window lengths in seconds over which audio and lips are compared."""


@torch.no_grad()
def held_out_metrics(
    models: AttributeModels, clip: ClipAttributes, num_train: int, lips: Float[Tensor, "T K"] | None = None
) -> dict[str, float]:
    """Computes the metrics on the held-out frames; empty where there are none.

    This is the only code that reads held-out landmarks, and it changes no model.

    Returns:
        Metrics by name: those of `swap_metrics` and `probe_metrics`; sync, as the share of windows whose best offset is
        within +-1 frame; the correlation of the mouth opening with its prediction from f_a by a ridge regression that
        is fitted on training frames.
    """
    train, held_out = (torch.from_numpy(clip.valid_indices(*part)) for part in ((0, num_train), (num_train, len(clip))))
    if not len(held_out):
        return {}
    landmarks, shot = torch.from_numpy(clip.front_landmarks), torch.from_numpy(clip.shot).long()
    mouth_opening = torch.from_numpy(clip.mouth_opening)[:, None]
    metrics = swap_metrics(models.autoencoder, landmarks[held_out])
    metrics |= probe_metrics(models.autoencoder, landmarks[train], landmarks[held_out])

    if lips is not None:
        space, truth = models.lips.space, Recording.from_clip(clip, slice(None)).expression[held_out]
        opening = [space.opening(values).numpy() for values in (lips[held_out], space.encode(truth))]
        names = ("amplitude", "correlation", "closures", "wide openings")
        metrics |= {f"lips from audio, {n}": v for n, v in zip(names, curve_agreement(*opening), strict=True)}
    audio = models.clip_audio(clip.mfcc)
    # Computed from the audio of the held-out part only, as if that part were a recording of its own.
    held_out_audio = models.clip_audio(clip.mfcc[num_train * MFCC_PER_FRAME :])
    training = slice(num_train)
    for seconds in SYNC_WINDOWS[1:]:
        window, name = round(seconds * FRAME_RATE), f"{seconds:.0f} s windows"
        parts = (("sync", slice(num_train, None), held_out_audio), ("sync in training", training, audio[training]))
        for title, part, part_audio in parts:
            lips = models.mouth_features(landmarks[part])
            metrics[f"{title}, {name}"] = sync_accuracy(part_audio, lips, window=window, shot=shot[part])
    fitted = (audio[train], mouth_opening[train])
    metrics["mouth opening from f_a, correlation"] = ridge_correlation(
        fitted, (audio[held_out], mouth_opening[held_out])
    )[0]
    metrics["mouth opening from f_a in training, correlation"] = ridge_correlation(fitted, fitted)[0]
    return metrics


@torch.no_grad()
def recording_curves(models: SpeechModels, recording: Recording, offset: int = 0) -> Float[Tensor, "F O"]:
    """Computes `frame_curves` of a recording whose audio is delayed by `offset` MFCC rows."""
    return frame_curves(
        models.audio.features(recording.shift_audio(offset).mfcc), models.mouth_features(models.faces(recording))
    )


def sync_shares(curves: Float[Tensor, "F O"]) -> dict[str, float]:
    """Computes, for each of `SYNC_WINDOWS`, the share of windows whose best offset is 0 (`sync`), and the share whose
    best offset is the one that the rest of the recording has (`sync at own offset`)."""
    metrics = {}
    for seconds in SYNC_WINDOWS:
        window = round(seconds * FRAME_RATE)
        if len(curves) >= window:
            windows = curves.unfold(0, window, 1).mean(-1)
            offsets = leave_window_out_offsets(curves, window)
            metrics[f"sync, {seconds:g} s"] = float(is_in_sync(windows).mean())
            metrics[f"sync at own offset, {seconds:g} s"] = float(is_in_sync(windows, offsets).mean())
    return metrics


@torch.no_grad()
def cross_similarity(models: SpeechModels, recordings: list[Recording]) -> Float[Tensor, "N N"]:
    """Computes the mean cosine between the lips of each recording (row) and the audio of each recording (column), frame
    by frame."""
    audio = [models.audio.features(recording.mfcc) for recording in recordings]
    table = torch.zeros(len(recordings), len(recordings))
    for row, recording in enumerate(recordings):
        lips = models.mouth_features(models.faces(recording))
        for column, other in enumerate(audio):
            length = min(len(lips), len(other))
            valid = recording.valid_frames[:length]
            table[row, column] = (lips[:length] * other[:length]).sum(-1)[valid].mean()
    return table


def corpus_metrics(models: SpeechModels, recordings: list[Recording], offsets: dict[str, int]) -> dict[str, float]:
    """Computes the metrics on held-out recordings, corrected for their audio delays; means over recordings."""
    if not recordings:
        return {}
    faces = torch.cat([models.faces(recording)[recording.valid_frames] for recording in recordings])
    metrics = swap_metrics(models.autoencoder, faces)
    shares = [
        sync_shares(recording_curves(models, recording, offsets.get(recording.name, 0))) for recording in recordings
    ]
    for name in dict.fromkeys(name for one in shares for name in one):
        values = [one[name] for one in shares if name in one]
        metrics[name] = sum(values) / len(values)
    if len(recordings) > 1:
        correct = cross_similarity(models, recordings).argmax(1) == torch.arange(len(recordings))
        metrics[f"right audio among {len(recordings)}"] = float(correct.float().mean())
    return metrics


def latent_channels(models: AttributeModels) -> list[dict[str, float]]:
    """Lists, for each latent channel, its length scale in the prior and its KL divergence (Eq. 8) on training frames; a
    channel of almost no divergence is unused."""
    motion, shot = models.training_motion, models.training_shot
    nats = channel_kl(models.vae, MotionSequences(motion, motion[:, :0], shot, torch.ones(len(shot))))
    return [
        {"length scale, frames": float(scale), "nats per frame": float(value)}
        for scale, value in zip(models.vae.scales, nats, strict=True)
    ]


def data_warnings(models: AttributeModels) -> list[str]:
    """Lists what the training video lacks: blinks, or head motion."""
    lines, frames = [], len(models.training_opening)
    if not len(BlinkStatistics.from_opening(models.training_opening).shapes):
        lines.append(f"no blink in the {frames / FRAME_RATE:.0f} s of training video: generated eyes stay open")
    spread = models.training_motion.std(0) * models.motion.scale
    rotation, distance = math.degrees(spread[:3].max()), float(spread[3:6].max())
    if rotation < STILL_DEGREES and distance < STILL_DISTANCE:
        lines.append(f"the head hardly moves ({rotation:.2f} degrees): neither will a generated one")
    return lines


def print_metrics(metrics: dict[str, float], title: str, console: Console) -> None:
    """Prints a table of metrics; nothing where there are none."""
    if not metrics:
        return
    table = Table(title, "", title="attribute models", title_justify="left")
    for name, value in metrics.items():
        table.add_row(name, "too short to measure" if math.isnan(value) else f"{value:.3f}")
    console.print(table)
