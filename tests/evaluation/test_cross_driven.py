"""Cross-driven videos: rendered for other audio, scored by lips and audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.cross_driven import replace_lips
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.audio import audio_duration, read_audio, write_wav
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig
from tests.pipeline_fixture import PipelineRun, run


def test_cross_driven_clips_are_rendered_and_scored(demo: PipelineRun):
    pair = held_out_pair(demo.config, [demo.speech])
    (clip,) = pair.cross_driven
    assert clip.frames.shape == (np.ceil(25 * audio_duration(demo.speech)), *pair.prediction.shape[1:])
    assert np.ptp(clip.frames[:, 32:], axis=0).max() > 20, "the rendered video is a still image"
    once, twice = (
        evaluate(replace(pair, cross_driven=count * [clip]), EvaluationConfig(protocols=("full",))) for count in (1, 2)
    )
    curve = np.array(once.offset_curves["cross-driven"])
    assert once.metrics["cross_driven_sync"] == pytest.approx(curve.max(), abs=1e-5)
    assert curve.argmax() - 15 == once.metrics["cross_driven_sync_offset"]
    assert twice.metrics["cross_driven_sync"] == pytest.approx(once.metrics["cross_driven_sync"], abs=1e-5)
    assert twice.metrics["cross_driven_sync_error"] < once.metrics["cross_driven_sync_error"]


def test_other_lips_take_the_place_of_the_own_ones(demo: PipelineRun):
    """The own lips in the place of the own lips change nothing, closed mouths in silence included."""
    model, audio = load_model(demo.config), read_audio(demo.speech)
    audio = np.concatenate([audio, np.zeros(16_000, np.float32)])
    own, open_in_silence = (
        AttributeTrack.join(
            AudioDriver(model, MotionConfig(), AudioConditioningConfig(close_in_silence=close)).stream([audio])
        )
        for close in (True, False)
    )
    assert not torch.allclose(own.mouth, open_in_silence.mouth)
    torch.testing.assert_close(replace_lips(own, open_in_silence.mouth, model, audio).mouth, own.mouth)
    held_out = model.clip.track.mouth[DatasetFolder.open(demo.data).num_train :].cpu()
    pairs = [held_out_pair(demo.config, predict_lips=predict) for predict in (None, lambda path: held_out)]
    np.testing.assert_array_equal(*(pair.prediction for pair in pairs))


def test_silent_audio_and_audio_without_a_model_are_refused(demo: PipelineRun, tmp_path: Path):
    write_wav(tmp_path / "silence.wav", np.zeros(32_000, np.float32))
    with pytest.raises(UserError, match=r"silence\.wav"):
        held_out_pair(demo.config, [tmp_path / "silence.wav"])
    refused = run("dfa-eval", "--video", demo.clip, "--reference", demo.clip, "--speech", demo.speech)
    assert refused.returncode == 2 and "--speech needs a model that renders it" in refused.stderr
