"""Scores of one lip model without a renderer: lip shape, closures and sync of predicted landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.systems.lips.lip_model import LipModel
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement

HELD_OUT = "held-out end"
"""Name of the held-out end's lips among those of speech files."""
LIP_COLUMNS = (
    MetricInfo("lmd", "LMD", "%", "lower", "distance of the lip landmarks, percent of the outer eye corner distance"),
    MetricInfo(
        "amplitude",
        "Mouth amplitude",
        "ratio",
        "as the truth",
        "standard deviation of the lip gap, relative to the true one's",
    ),
    MetricInfo("correlation", "Mouth correlation", "", "higher", "of the lip gap with the true one"),
    MetricInfo("closed", "Mouth closed", "", "higher", "share of the 15 % most closed true frames that are as closed"),
    MetricInfo("open", "Mouth wide open", "", "higher", "share of the 15 % most open true frames that are as open"),
    MetricInfo("sync", "Sync", "cosine", "higher", "own encoders, held-out end, at the source video's offset", 3),
    MetricInfo("other_sync", "Sync in other speech", "cosine", "higher", "own encoders, at the best offset", 3),
    MetricInfo(
        "other_sync_error",
        "Standard error of Sync in other speech",
        "cosine",
        "lower",
        "each second as one observation",
        3,
    ),
)
"""Columns of the table of lip models."""


@torch.no_grad()
def predict_lips(
    model: LipModel, person: PersonData, speech: Sequence[SpeechInputs]
) -> dict[str, Float[Tensor, "T K"]]:
    """f_m that a lip model predicts for the held-out end (`HELD_OUT`) and for each speech file by its name."""
    inputs = {HELD_OUT: person.held_out_speech} | {one.name: one for one in speech}
    return {name: model.predict(one).clone() for name, one in inputs.items()}  # an expanded view would be stored whole


@torch.no_grad()
def lip_scores(
    shapes: Mapping[str, Float[Tensor, "T K"]],
    person: PersonData,
    speech: Sequence[SpeechInputs],
    encoders: SpeechModels,
) -> dict[str, float]:
    """Compares predicted with true lips on the held-out end, and scores sync there and in other speech.

    Args:
        shapes: predicted f_m, by `predict_lips`.
        person: the person's data.
        speech: other speech.
        encoders: of the sync score.
    """
    end, own, space = person.end, person.held_out_speech, person.models.lips.space
    valid = end.valid_frames
    lips, true = shapes[HELD_OUT], space.encode(end.expression)
    distance = (space.decode(lips) - space.decode(true))[valid].norm(dim=-1).mean()
    gap = curve_agreement(space.opening(lips)[valid].numpy(), space.opening(true)[valid].numpy())
    truth = _sync(person, true, own, encoders)
    predicted = _sync(person, lips, own, encoders)
    scores = {
        "lmd": 100 * float(distance),
        "amplitude": gap.amplitude_ratio,
        "correlation": gap.correlation,
        "closed": gap.closed_recall,
        "open": gap.open_recall,
        "sync": predicted.score_at(truth.offset) if predicted and truth else float("nan"),
    }
    others = [_sync(person, shapes[inputs.name], inputs, encoders) for inputs in speech]
    if found := [score for score in others if score is not None]:
        pooled = AVSyncScore.join(found)
        scores |= {
            "other_sync": pooled.score_at(pooled.offset),
            "other_sync_error": pooled.standard_error_at(pooled.offset),
        }
    return scores


@torch.no_grad()
def true_lip_scores(person: PersonData, encoders: SpeechModels) -> dict[str, float]:
    """Sync of the true lips of the held-out end."""
    truth = _sync(person, person.models.lips.space.encode(person.end.expression), person.held_out_speech, encoders)
    return {"amplitude": 1.0, "sync": truth.score_at(truth.offset)} if truth else {"amplitude": 1.0}


def _sync(
    person: PersonData, lips: Float[Tensor, "T K"], speech: SpeechInputs, encoders: SpeechModels
) -> AVSyncScore | None:
    expression = person.face_from_lips(lips).numpy()
    try:
        return av_sync_score(encoders, expression, np.ones(len(lips), bool), speech.audio)
    except UserError:  # a silent held-out end
        return None
