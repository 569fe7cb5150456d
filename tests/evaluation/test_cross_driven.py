"""Speech that a model was never filmed saying, judged by lips and sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.media.audio import audio_duration, write_wav
from tests.pipeline_fixture import Walked, run


def test_other_speech_is_said_and_judged(demo: Walked):
    pair = held_out_pair(demo.config, [demo.speech])
    (speech,) = pair.speeches
    assert speech.pictures.shape == (np.ceil(25 * audio_duration(demo.speech)), *pair.pictures.shape[1:])
    assert np.ptp(speech.pictures[:, 32:], axis=0).max() > 20, "a still picture"
    alone, twice = (
        evaluate(replace(pair, speeches=count * [speech]), EvaluationConfig(protocols=("full",))) for count in (1, 2)
    )
    curve = np.array(alone.offsets["other speech"])
    assert alone.figures["speech_sync"] == pytest.approx(curve.max(), abs=1e-5)
    assert curve.argmax() - 15 == alone.figures["speech_sync_offset"]
    assert twice.figures["speech_sync"] == pytest.approx(alone.figures["speech_sync"], abs=1e-5)
    assert twice.figures["speech_sync_error"] < alone.figures["speech_sync_error"]


def test_speech_that_is_of_no_use_is_refused(demo: Walked, tmp_path: Path):
    write_wav(tmp_path / "silence.wav", np.zeros(32_000, np.float32))
    with pytest.raises(UserError, match=r"silence\.wav"):
        held_out_pair(demo.config, [tmp_path / "silence.wav"])
    refused = run("dfa-eval", "--video", demo.clip, "--reference", demo.clip, "--speech", demo.speech)
    assert refused.returncode == 2 and "--speech needs a model that says it" in refused.stderr
