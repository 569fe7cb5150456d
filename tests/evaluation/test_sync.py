"""SyncNet's protocol and our own agreement, on what can be computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from python_speech_features import mfcc as published_mfcc

from dfa_nerfstudio.attributes.pretrained_models import GeneralModels, ModelsConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import Sightings
from dfa_nerfstudio.evaluation.reference_head import ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import ENCODERS, OwnSync, own_sync
from dfa_nerfstudio.evaluation.sync.syncnet import SyncNet, crop, distance_curve, face_boxes, syncnet_score
from dfa_nerfstudio.evaluation.sync.syncnet_mfcc import speech_mfcc
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from tests.conftest import CLIPS, needs_clips


@pytest.mark.parametrize("samples", [16_000, 16_123, 399])
def test_syncnets_mfcc_are_the_published_ones(samples: int):
    sound = (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)
    samples_of_16_bits = np.round(sound.astype(float) * 32767)
    np.testing.assert_allclose(speech_mfcc(sound), published_mfcc(samples_of_16_bits, 16_000), atol=1e-9)


def test_sound_that_comes_late_has_a_positive_offset():
    seen = torch.nn.functional.normalize(torch.randn(60, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    curve = distance_curve(seen, seen.roll(3, 0))
    assert curve.argmin() - 15 == 3 and curve[18] < 0.2
    # by hand: two windows, one shift; the sound of the second lies beyond the end and is zero
    pair = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(distance_curve(pair, pair, 1), [(3 + 5) / 2, 0, (5 + 4) / 2], atol=1e-5)


def test_the_network_takes_its_own_weights_and_no_others(tmp_path: Path):
    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), tmp_path / "weights.model")
    network = SyncNet(tmp_path / "weights.model")
    landmarks = np.random.default_rng(0).uniform(20, 60, (12, 478, 2))
    pictures = np.random.default_rng(1).integers(0, 255, (12, 80, 80, 3), np.uint8)
    score = syncnet_score(network, pictures, landmarks, np.random.default_rng(2).random(8000).astype(np.float32))
    assert score is not None and score.curve.shape == (31,) and score.lse_c >= 0
    assert syncnet_score(network, pictures[:5], landmarks[:5], np.zeros(3200, np.float32)) is None
    torch.save({"foreign": torch.zeros(1)}, tmp_path / "other.model")
    with pytest.raises(UserError, match=r"other\.model: not SyncNet's weights"):
        SyncNet(tmp_path / "other.model")


def test_the_crop_holds_the_face_where_syncnet_expects_it():
    """The box's top is the crop's, its sides lie 0.4 of half the box within, the chin at 2 / 2.8 of the height."""
    landmarks = np.zeros((20, 478, 2))
    landmarks[:, :, 0] = np.linspace(40, 80, 478)
    landmarks[:, :, 1] = np.linspace(30, 70, 478)
    box = face_boxes(landmarks)[7]
    np.testing.assert_allclose(box, [60, 50, 20])
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[30:70, 40:80] = 255
    rows, columns = np.nonzero(crop(picture, box)[..., 0] > 127)
    np.testing.assert_allclose([rows.min(), rows.max()], [0, 224 * 2 / 2.8], atol=3)
    np.testing.assert_allclose([columns.min(), columns.max()], [224 * 0.4 / 2.8, 224 * 2.4 / 2.8], atol=3)


def test_own_agreement_counts_frames_that_show_the_face():
    torch.manual_seed(0)
    models = GeneralModels(ModelsConfig(), 26)
    generator = np.random.default_rng(0)
    expression = 0.01 * generator.standard_normal((50, 68, 3))
    sound = generator.standard_normal(32_000).astype(np.float32)
    found = np.ones(50, bool)
    found[20:25] = False
    agreed = own_sync(models, expression, found, sound)
    assert agreed is not None and agreed.curves.shape == (15, 31)
    assert own_sync(models, expression[:30], found[:30], sound) is None


def test_a_score_knows_how_sure_it_is():
    curves = np.zeros((100, 31))
    curves[:50, 13], curves[50:, 15] = 1.0, 0.8
    agreed = OwnSync(curves)
    assert (agreed.at(0), agreed.offset, agreed.confidence) == (pytest.approx(0.4), -2, 0.5)
    np.testing.assert_allclose(agreed.error(-2), np.std([1, 1, 0, 0], ddof=1) / 2)  # four seconds
    assert np.isnan(OwnSync(curves[:99]).error(-2))
    twice = OwnSync.join([agreed, OwnSync(np.zeros((100, 31)))])
    assert twice.at(-2) == 0.25 and twice.error(-2) < agreed.error(-2)


@needs_clips
def test_the_packages_encoders_tell_the_truth_of_a_person_they_have_never_seen():
    path = CLIPS / "hdtf_WDA_BobMenendez_000.mp4"
    seen = Sightings.of(map(to_rgb, Video(path).frames()))
    head = ReferenceHead(seen, str(path))
    faces = head.faces(seen)
    assert faces is not None
    encoders, sound = GeneralModels.load(ENCODERS), read_audio(path)
    expression = faces.front - head.neutral
    true, late, backwards = (
        own_sync(encoders, expression, faces.found, heard)
        for heard in (sound, np.concatenate([np.zeros(3200, np.float32), sound]), sound[::-1].copy())
    )
    assert true is not None and late is not None and backwards is not None
    assert abs(true.offset) <= 2 and late.offset == true.offset + 5
    assert true.at(true.offset) > 0.15 > max(late.at(true.offset), backwards.at(true.offset))
