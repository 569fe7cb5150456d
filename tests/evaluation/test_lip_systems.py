"""Lip models of other systems, and the sync expert."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.speech_models import SpeechConfig, SpeechModels
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.sync.sync_encoders import ENCODERS, SyncEncoders
from dfa_nerfstudio.evaluation.systems import lip_rows
from dfa_nerfstudio.evaluation.systems.lip_rows import MEAN, MFCC_LSTM, ONE_VIDEO, OURS
from dfa_nerfstudio.evaluation.systems.lip_scores import HELD_OUT, lip_scores, predict_lips
from dfa_nerfstudio.evaluation.systems.lips.expert import embed_mouth
from dfa_nerfstudio.evaluation.systems.lips.face_from_lips import FaceFromLips
from dfa_nerfstudio.evaluation.systems.lips.recurrent_lips import RECURRENT_LIPS_FIT, RecurrentLips, feature_rows
from dfa_nerfstudio.evaluation.systems.lips.sync_expert_loss import SyncExpertObjective
from dfa_nerfstudio.evaluation.systems.person_data import PersonData
from dfa_nerfstudio.evaluation.systems.train_row import train_row
from dfa_nerfstudio.face.landmarks_68 import UPPER_FACE_68
from tests.pipeline_fixture import PipelineRun


@pytest.fixture(scope="module")
def person(demo: PipelineRun) -> PersonData:
    return PersonData.open(DatasetFolder.open(demo.data))


def test_face_from_lips_recovers_a_linear_relation():
    generator = torch.Generator().manual_seed(0)
    lips = torch.randn(100, 10, generator=generator)
    expression = (lips @ torch.randn(10, 204, generator=generator) + 0.3).unflatten(1, (68, 3))
    found = FaceFromLips(lips, expression)(lips)
    expression[:, UPPER_FACE_68] = 0
    torch.testing.assert_close(found, expression, atol=1e-4, rtol=1e-4)


def test_embed_mouth_equals_the_expert():
    torch.manual_seed(0)
    expert = SpeechModels(SpeechConfig(), 13)
    expression = 0.1 * torch.randn(30, 68, 3)
    inner = expert.mouth.frames // 2
    whole = expert.mouth_features(expression + expert.autoencoder.mean_face)[inner:-inner]
    torch.testing.assert_close(embed_mouth(expert, expression[None])[0], whole)


def test_the_control_row_does_not_use_the_general_lip_model(person: PersonData):
    speech = [person.held_out_speech]
    other = replace(person, models=copy.deepcopy(person.models))
    other.models.lips.predictor.change.zero_()
    rows = [train_row(lip_rows.LIP_ROWS, name, one, 0) for one in (person, other) for name in (OURS, ONE_VIDEO)]
    ours, alone, ours_without, alone_without = (predict_lips(row, person, speech)[HELD_OUT] for row in rows)
    assert not torch.allclose(ours, ours_without) and not torch.allclose(ours, alone)
    torch.testing.assert_close(alone, alone_without)


def test_an_lstm_learns_lips_at_the_right_time(person: PersonData, monkeypatch: pytest.MonkeyPatch):
    """Prediction of the held-out lips is best without a shift, although the LSTM reads ahead."""
    monkeypatch.setattr(lip_rows, "RECURRENT_LIPS_FIT", RECURRENT_LIPS_FIT.scaled(0.3))
    model = train_row(lip_rows.LIP_ROWS, MFCC_LSTM, person, seed=0)
    space, train = person.models.lips.space, person.train
    whole = person.held_out_speech
    whole.mfcc, whole.speech = train.mfcc, train.speech
    gap = space.opening(model.predict(whole)).numpy()
    true = space.opening(space.encode(train.expression)).numpy()
    curve = [np.corrcoef(gap[8:-8], np.roll(true, shift)[8:-8])[0, 1] for shift in range(-6, 7)]
    assert curve[6] == max(curve) and curve[6] > 0.7


def test_the_expert_moves_lips_towards_the_audio(person: PersonData):
    """With the expert's loss alone, the lips of a batch agree better with the audio."""
    torch.manual_seed(0)
    train, lips = person.train, person.models.lips.space.encode(person.train.expression)
    features = feature_rows(train.mfcc, train.speech, "mfcc")
    model = RecurrentLips(features, lips, "mfcc", project=False, width=32)
    objective = SyncExpertObjective(model, person, SyncEncoders.load(ENCODERS).requires_grad_(False), weight=1.0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(40):
        loss = objective.training_loss(0.0)["sync"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert all(weight.grad is None for weight in objective.expert.parameters())


def test_scores_separate_lips_from_no_lips(person: PersonData):
    encoders = SyncEncoders.load(ENCODERS)
    models = (train_row(lip_rows.LIP_ROWS, name, person, 0) for name in (OURS, MEAN))
    ours, mean = (lip_scores(predict_lips(model, person, []), person, [], encoders) for model in models)
    assert ours["lmd"] < mean["lmd"] and mean["amplitude"] == 0 and np.isnan(mean["correlation"])
    assert ours["amplitude"] > 0.2 and ours["correlation"] > 0.4


def test_without_other_people_the_expert_is_the_persons(person: PersonData):
    expert = person.sync_expert
    torch.testing.assert_close(expert.audio.state_dict(), person.models.audio.state_dict())
    assert not any(weight.requires_grad for weight in expert.parameters())
    assert any(weight.requires_grad for weight in person.models.audio.parameters()), "the models stay trainable"
