"""SyncNet's protocol and the sync score of the package's own encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from python_speech_features import mfcc as published_mfcc

from dfa_nerfstudio.attributes.speech_models import SpeechConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.reference_head import ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import AVSyncScore, av_sync_score
from dfa_nerfstudio.evaluation.sync.sync_encoders import ENCODERS, SyncEncoders
from dfa_nerfstudio.evaluation.sync.syncnet import (
    SyncNet,
    distance_curve,
    syncnet_crop,
    syncnet_face_boxes,
    syncnet_score,
)
from dfa_nerfstudio.evaluation.sync.syncnet_mfcc import speech_mfcc
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from tests.conftest import CLIPS, needs_clips


@pytest.mark.parametrize("samples", [16_000, 16_123, 399])
def test_mfcc_equal_those_of_python_speech_features(samples: int):
    audio = (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)
    samples_of_16_bits = np.round(audio.astype(float) * 32767)
    np.testing.assert_allclose(speech_mfcc(audio), published_mfcc(samples_of_16_bits, 16_000), atol=1e-9)


def test_late_audio_has_a_positive_offset():
    video = torch.nn.functional.normalize(torch.randn(60, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    curve = distance_curve(video, video.roll(3, 0))
    assert curve.argmin() - 15 == 3 and curve[18] < 0.2
    # by hand: two windows, one shift; the audio beyond the ends is zero
    pair = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(distance_curve(pair, pair, 1), [(3 + 5) / 2, 0, (5 + 4) / 2], atol=1e-5)


def test_syncnet_loads_its_own_weights_and_refuses_others(tmp_path: Path):
    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), tmp_path / "weights.model")
    network = SyncNet(tmp_path / "weights.model")
    landmarks = np.random.default_rng(0).uniform(20, 60, (12, 478, 2))
    frames = np.random.default_rng(1).integers(0, 255, (12, 80, 80, 3), np.uint8)
    score = syncnet_score(network, frames, landmarks, np.random.default_rng(2).random(8000).astype(np.float32))
    assert score is not None and score.curve.shape == (31,) and score.lse_c >= 0
    assert syncnet_score(network, frames[:5], landmarks[:5], np.zeros(3200, np.float32)) is None
    torch.save({"foreign": torch.zeros(1)}, tmp_path / "other.model")
    with pytest.raises(UserError, match=r"other\.model: not SyncNet's weights"):
        SyncNet(tmp_path / "other.model")


def test_the_crop_places_the_face_where_syncnet_expects_it():
    """The box touches the top; its sides are 0.4 half sides inside, the chin is at 2 / 2.8 of the height."""
    landmarks = np.zeros((20, 478, 2))
    landmarks[:, :, 0] = np.linspace(40, 80, 478)
    landmarks[:, :, 1] = np.linspace(30, 70, 478)
    box = syncnet_face_boxes(landmarks)[7]
    np.testing.assert_allclose(box, [60, 50, 20])
    frame = np.zeros((100, 120, 3), np.uint8)
    frame[30:70, 40:80] = 255
    rows, columns = np.nonzero(syncnet_crop(frame, box)[..., 0] > 127)
    np.testing.assert_allclose([rows.min(), rows.max()], [0, 224 * 2 / 2.8], atol=3)
    np.testing.assert_allclose([columns.min(), columns.max()], [224 * 0.4 / 2.8, 224 * 2.4 / 2.8], atol=3)


def test_the_sync_score_counts_frames_that_show_the_face():
    torch.manual_seed(0)
    models = SyncEncoders(SpeechConfig(), 26)
    generator = np.random.default_rng(0)
    expression = 0.01 * generator.standard_normal((50, 68, 3))
    audio = generator.standard_normal(32_000).astype(np.float32)
    found = np.ones(50, bool)
    found[20:25] = False
    score = av_sync_score(models, expression, found, audio)
    assert score is not None and score.curves.shape == (15, 31)
    assert av_sync_score(models, expression[:30], found[:30], audio) is None


def test_offset_confidence_and_standard_error_are_those_of_the_curves():
    curves = np.zeros((100, 31))
    curves[:50, 13], curves[50:, 15] = 1.0, 0.8
    score = AVSyncScore(curves)
    assert (score.score_at(0), score.offset, score.confidence) == (pytest.approx(0.4), -2, 0.5)
    np.testing.assert_allclose(score.standard_error_at(-2), np.std([1, 1, 0, 0], ddof=1) / 2)  # four seconds
    assert np.isnan(AVSyncScore(curves[:99]).standard_error_at(-2))
    twice = AVSyncScore.join([score, AVSyncScore(np.zeros((100, 31)))])
    assert twice.score_at(-2) == 0.25 and twice.standard_error_at(-2) < score.standard_error_at(-2)


@needs_clips
def test_the_own_encoders_score_the_true_audio_highest_for_an_unseen_person():
    path = CLIPS / "hdtf_WDA_BobMenendez_000.mp4"
    landmarks = LandmarkTrack.from_frames(map(to_rgb, Video(path).frames()))
    head = ReferenceHead(landmarks, str(path))
    faces = head.face_track(landmarks)
    assert faces is not None
    encoders, audio = SyncEncoders.load(ENCODERS), read_audio(path)
    expression = faces.front_landmarks - head.neutral
    true, late, backwards = (
        av_sync_score(encoders, expression, faces.found, samples)
        for samples in (audio, np.concatenate([np.zeros(3200, np.float32), audio]), audio[::-1].copy())
    )
    assert true is not None and late is not None and backwards is not None
    assert abs(true.offset) <= 2 and late.offset == true.offset + 5
    assert true.score_at(true.offset) > 0.15 > max(late.score_at(true.offset), backwards.score_at(true.offset))
