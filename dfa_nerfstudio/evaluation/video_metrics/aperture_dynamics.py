"""Amplitude, correlation and extremes of the mouth and eye openings relative to the truth's."""

from __future__ import annotations

import numpy as np

from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement

_RATIO = "standard deviation of its opening over the truth's"
_CORRELATION = "of its opening with the true one"
_CLOSED = "share of the frames with the 15 % smallest true openings in which the mouth is as closed"
_OPEN = "share of the frames with the 15 % largest true openings in which the mouth is as open"


@video_metric(
    MetricInfo("mouth_amplitude_ratio", "Mouth amplitude", "ratio", "as the truth", _RATIO),
    MetricInfo("mouth_correlation", "Mouth correlation", "", "higher", _CORRELATION),
    MetricInfo("mouth_closed_recall", "Mouth closed", "", "higher", _CLOSED),
    MetricInfo("mouth_open_recall", "Mouth wide open", "", "higher", _OPEN),
    MetricInfo("eyes_amplitude_ratio", "Eye amplitude", "ratio", "as the truth", _RATIO),
    MetricInfo("eyes_correlation", "Eye correlation", "", "higher", _CORRELATION),
    position=210,
)
def aperture_dynamics(context: EvaluationContext) -> Scores:
    """Ratios and correlations over the frames in which both faces are found."""
    faces, truth, shown = context.faces, context.truth_faces, context.face_frames
    openings = {
        "mouth": (faces.mouth_opening, truth.mouth_opening),
        "eyes": (faces.eye_opening.mean(1), truth.eye_opening.mean(1)),
    }
    scores = Scores({})
    for part, (predicted, true) in openings.items():
        agreement = curve_agreement(predicted[shown], true[shown])._asdict()
        scores.values |= {f"{part}_{name}": agreement[name] for name in ("amplitude_ratio", "correlation")}
        if part == "mouth":
            scores.values |= {f"{part}_{name}": agreement[name] for name in ("closed_recall", "open_recall")}
    scores.curves |= context.paired_curves("mouth opening", *openings["mouth"])
    scores.curves |= context.paired_curves("eye opening", *openings["eyes"])
    return scores


@video_metric()
def true_openings(context: EvaluationContext) -> Scores:
    """Curves of the true openings alone, so that they exist if the prediction shows no face.

    The ablations choose the frames of their image strips by them.
    """
    truth = context.truth_faces
    openings = {"mouth opening": truth.mouth_opening, "eye opening": truth.eye_opening.mean(1)}
    curves = {f"{name}, truth": np.where(truth.found, values, np.nan) for name, values in openings.items()}
    return Scores({}, curves=curves)
