"""The page of `dfa-app` in a real browser: from a video to a talking video; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.app_way import AppWay, served
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk.provenance import inspect_video
from tests.pipeline_fixture import BROWSER, PipelineRun

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
pytestmark = [pytest.mark.slow, pytest.mark.browser, needs_browser]


def test_a_browser_goes_from_a_video_to_a_talking_video(demo: PipelineRun, tmp_path: Path):
    library, speech = tmp_path / "people", tmp_path / "speech.wav"
    write_wav(speech, read_audio(demo.speech)[: 2 * SAMPLE_RATE])
    with served(library) as address:
        way = AppWay(address, tmp_path)
        result = way.drive(demo.clip, speech, size=128, minutes=0.1, timeout_s=200, steps=0.1)
    assert not way.errors
    assert result["clicks"] <= 12 + 2  # two for the shorter training, which a user leaves alone
    assert result["video_s"] == pytest.approx(2.0, abs=0.1)
    assert inspect_video(library / "Demo subject/talking/speech_01.mp4").is_synthetic
