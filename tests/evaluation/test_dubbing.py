"""Scores of dubbed videos, on the demo subject's own video."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.ablation.dubbing import MAX_PSNR, DubbedVideo, dubbing_scores, source_track
from dfa_nerfstudio.evaluation.sync.sync_encoders import ENCODERS, SyncEncoders
from dfa_nerfstudio.evaluation.systems.person_data import PersonData, SpeechInputs
from dfa_nerfstudio.talk.load_model import load_model
from tests.pipeline_fixture import PipelineRun

FRAMES = 40


@pytest.fixture(scope="module")
def video(demo: PipelineRun) -> DubbedVideo:
    person, model = PersonData.open(DatasetFolder.open(demo.data)), load_model(demo.config)
    speech = person.held_out_speech
    audio = np.random.default_rng(0).normal(0, 0.1, FRAMES * 640).astype(np.float32)
    f_a = torch.zeros(FRAMES, speech.f_a.shape[1])
    silent = SpeechInputs("noise", audio, speech.mfcc, speech.speech, speech.voice, f_a)
    track = source_track(person, silent, torch.zeros(FRAMES, person.models.training_lips.shape[1]))
    return DubbedVideo.render(demo.config, model, demo.clip, track, silent, "lower-face")


def test_the_lower_face_alone_changes(video: DubbedVideo):
    scores = dubbing_scores([video], SyncEncoders.load(ENCODERS))
    assert scores["outside"] > 45 and scores["seam"] == pytest.approx(1, abs=0.35)
    assert np.abs(np.asarray(video.frames, float) - np.asarray(video.source, float)).max() > 20


def test_scores_measure_what_they_say(video: DubbedVideo):
    encoders = SyncEncoders.load(ENCODERS)
    same = dubbing_scores([replace(video, frames=video.source)], encoders)
    assert same["outside"] == MAX_PSNR and same["amplitude"] == same["seam"] == 1
    brighter = np.asarray(video.source).clip(0, 245) + np.uint8(10)
    dark = replace(video, frames=brighter, source=np.asarray(video.source).clip(0, 245))
    assert dubbing_scores([dark], encoders)["outside"] == pytest.approx(20 * np.log10(255 / 10), abs=0.01)
    edge = np.asarray(video.source).copy()
    for number, frame in enumerate(edge):  # a hard edge within the border over which the lips fade in
        opacity = video.compositor.opacity_at(number / 25)[..., 0]
        left, top, side = video.compositor.left, video.compositor.top, video.compositor.side
        frame[top : top + side, left : left + side][opacity > 0.5] //= 2
    assert dubbing_scores([replace(video, frames=edge)], encoders)["seam"] > 1.3
