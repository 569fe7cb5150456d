"""Cross-driven videos: rendered for other audio, scored by lips and audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.audio import audio_duration, write_wav
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


def test_silent_audio_and_audio_without_a_model_are_refused(demo: PipelineRun, tmp_path: Path):
    write_wav(tmp_path / "silence.wav", np.zeros(32_000, np.float32))
    with pytest.raises(UserError, match=r"silence\.wav"):
        held_out_pair(demo.config, [tmp_path / "silence.wav"])
    refused = run("dfa-eval", "--video", demo.clip, "--reference", demo.clip, "--speech", demo.speech)
    assert refused.returncode == 2 and "--speech needs a model that renders it" in refused.stderr
