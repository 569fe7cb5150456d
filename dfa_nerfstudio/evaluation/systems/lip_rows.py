"""Lip models by name: ours, those of the systems that the paper compares with, and trivial baselines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dfa_nerfstudio.evaluation.systems.lips.lip_model import LipModel
from dfa_nerfstudio.evaluation.systems.lips.own_lips import (
    LipsOfOneVideo,
    LipsOfReducedVariance,
    MeanLips,
    OwnLips,
    ShiftedLips,
)
from dfa_nerfstudio.evaluation.systems.lips.recurrent_lips import (
    RECURRENT_LIPS_FIT,
    Input,
    RecurrentLips,
    RecurrentLipsObjective,
    feature_rows,
)
from dfa_nerfstudio.evaluation.systems.lips.sync_expert_loss import SyncExpertObjective
from dfa_nerfstudio.evaluation.systems.person_data import PersonData
from dfa_nerfstudio.evaluation.systems.train_row import fit_model

OURS = "lips f_m (ours)"
MFCC_LSTM = "landmarks by an LSTM, MFCC (ATVG)"
SPEECH_LSTM = "landmarks by an LSTM, speech features (MakeItTalk)"
PROJECTED_LSTM = "landmarks by an LSTM, projected onto own shapes (LSP)"
SYNC_EXPERT = "sync expert as a loss (Wav2Lip)"
REDUCED = "our lips, variance not restored"
ONE_VIDEO = "our lips, without the general lip model"
SHIFTED = "our lips of other moments"
MEAN = "mean lips"


def _recurrent(person: PersonData, source: Input, project: bool) -> RecurrentLips:
    train = person.train
    features = feature_rows(train.mfcc, train.speech, source)[train.valid_frames]
    return RecurrentLips(
        features, person.models.lips.space.encode(train.expression[train.valid_frames]), source, project
    )


def _train_recurrent(source: Input, project: bool, person: PersonData, seed: int) -> LipModel:
    model = _recurrent(person, source, project)
    fit_model(RecurrentLipsObjective(model, person), RECURRENT_LIPS_FIT, seed)
    return model


def _train_with_expert(person: PersonData, seed: int) -> LipModel:
    model = _recurrent(person, "speech", project=False)
    fit_model(SyncExpertObjective(model, person, person.sync_expert), RECURRENT_LIPS_FIT, seed)
    return model


LIP_ROWS: dict[str, Callable[[PersonData, int], LipModel]] = {
    OURS: lambda person, seed: OwnLips(person.models),
    MFCC_LSTM: partial(_train_recurrent, "mfcc", False),
    SPEECH_LSTM: partial(_train_recurrent, "speech", False),
    PROJECTED_LSTM: partial(_train_recurrent, "speech", True),
    SYNC_EXPERT: _train_with_expert,
    REDUCED: lambda person, seed: LipsOfReducedVariance(person.models),
    ONE_VIDEO: lambda person, seed: LipsOfOneVideo(person.models, person.train),
    SHIFTED: lambda person, seed: ShiftedLips(person.models),
    MEAN: lambda person, seed: MeanLips(person.models),
}
"""Trains a lip model on a person's training frames with a random seed."""
