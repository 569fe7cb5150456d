"""Scores of one motion model: prediction of the held-out end, and statistics of motion generated for other speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo
from dfa_nerfstudio.evaluation.motion.generated_motion import generated_motion_metrics, own_motion_metrics
from dfa_nerfstudio.evaluation.motion.motion_prediction import motion_prediction_errors
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, reference_step
from dfa_nerfstudio.evaluation.systems.motion.motion_model import BLENDING, MotionModel
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.media.rates import FRAME_RATE

HORIZON = round(2 * FRAME_RATE)
"""Predicted frames: two seconds."""
NUM_GENERATIONS = 3
"""Seeds of the motion that is generated for each speech file."""

MOTION_COLUMNS = (
    MetricInfo("d_rot", "D-Rot", "%", "lower", "error of predicted rotation, percent of the person's range"),
    MetricInfo("d_pos", "D-Pos", "%", "lower", "error of predicted position, percent of the person's range"),
    MetricInfo("sample_d_rot", "D-Rot of a sample", "%", "lower", "the same of one sample"),
    MetricInfo("sample_d_pos", "D-Pos of a sample", "%", "lower", "the same of one sample"),
    MetricInfo("energy", "Motion energy", "ratio", "as the truth", "mean square change, relative to the person's"),
    MetricInfo("spectrum", "Spectrum", "dB", "lower", "distance of the power spectrum from the person's"),
    MetricInfo("frozen", "Frozen", "", "as the truth", "share of the frames in which the head is still"),
    MetricInfo("outside", "Outside the range", "", "lower", "share of time at poses beyond those of training"),
    MetricInfo(
        "unseen",
        "Unseen poses",
        "",
        "lower",
        "share of the frames farther from all training poses than 95 % of these are from those of other moments",
    ),
    MetricInfo("blink_rate", "Blinks", "1/s", "as the truth", "of the generated eye opening"),
    MetricInfo("blink_duration", "Blink duration", "s", "as the truth", "from start to end"),
    MetricInfo(
        "jump",
        "Largest boundary jump",
        "ratio",
        "lower",
        "largest jump between windows or, without windows, frames; above 1 the motion jumps",
    ),
    MetricInfo("diversity", "Diversity", "ratio", "higher", "difference between seeds; 1 as unrelated moments"),
)
"""Columns of the motion tables."""


def too_short_for_prediction(person: PersonData) -> str | None:
    """Reason why there is no window of the held-out end to predict; None if there is one."""
    length = BLENDING.bop + HORIZON
    if len(person.end_motion.windows(length, 1)[0]):
        return None
    return (
        f"{person.folder.path}: the held-out end has no {length} valid frames in one shot; use a longer video, or more "
        "`held_out` frames with dfa-process"
    )


def prediction_scores(model: MotionModel, person: PersonData) -> dict[str, float]:
    """D-Rot and D-Pos over the two seconds after a beginning of pose, mean over all windows of the held-out end; empty
    if there is no window."""
    if too_short_for_prediction(person):
        return {}
    clip = person.folder.attributes
    span = pose_range(pose_axes(clip.head_to_camera[clip.shot >= 0]))
    errors = motion_prediction_errors(model, person.models.motion, person.end_motion, span, HORIZON)
    (d_rot, d_pos), (sample_d_rot, sample_d_pos) = errors.mean.mean(0), errors.sample.mean(0)
    return {
        "d_rot": float(d_rot),
        "d_pos": float(d_pos),
        "sample_d_rot": float(sample_d_rot),
        "sample_d_pos": float(sample_d_pos),
        "windows": float(errors.windows),
    }


@torch.no_grad()
def generate_tracks(
    model: MotionModel, person: PersonData, speech: Sequence[SpeechInputs]
) -> list[list[AttributeTrack]]:
    """`NUM_GENERATIONS` tracks for each speech file, all with seeds of their own."""
    return [
        [
            model.generate_track(person.models, inputs.f_a, number * NUM_GENERATIONS + generation)
            for generation in range(NUM_GENERATIONS)
        ]
        for number, inputs in enumerate(speech)
    ]


@torch.no_grad()
def generation_scores(
    model: MotionModel, person: PersonData, generated: Sequence[Sequence[AttributeTrack]]
) -> dict[str, float]:
    """Statistics of motion generated for speech, mean over the files.

    Args:
        model: the motion model.
        person: the person's data.
        generated: its tracks, by `generate_tracks`.
    """
    own, own_opening, shot = _training_motion(person)
    hop = 1 if model.window is None else model.window - model.bop
    each = []
    for tracks in generated:
        motions = [pose_axes(track.head_to_camera.numpy()) for track in tracks]
        openings = [person.models.eye.to_opening(track.eye).numpy() for track in tracks]
        each.append(generated_motion_metrics(motions, openings, own, own_opening, shot, hop))
    weights = [len(tracks[0]) for tracks in generated]
    return {name: _weighted_mean([one[name] for one in each], weights) for name in each[0]} if each else {}


def own_motion_targets(person: PersonData) -> dict[str, float]:
    """Energy, still frames and blinks of the person's own motion in the training frames."""
    own, _, shot = _training_motion(person)
    return {
        "energy": 1.0,
        "frozen": frozen_fraction(own, reference_step(own, shot), shot),
        "blink_rate": person.own_blinks.rate,
        "blink_duration": person.own_blinks.duration,
    }


def source_motion_scores(person: PersonData) -> dict[str, float]:
    """The same statistics of the second half of the training frames relative to the first half."""
    return own_motion_metrics(*_training_motion(person))


def _training_motion(
    person: PersonData,
) -> tuple[PoseAxes, Float[np.ndarray, "N 2"], Int[np.ndarray, " N"]]:
    """Head poses, eye openings and shot numbers of the training frames."""
    clip, count = person.folder.attributes, person.folder.num_train
    return pose_axes(clip.head_to_camera[:count]), clip.eye_opening[:count], clip.shot[:count]


def _weighted_mean(values: list[float], weights: list[int]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = np.isfinite(values)
    return float(np.average(np.array(values)[known], weights=np.array(weights)[known])) if known.any() else float("nan")
