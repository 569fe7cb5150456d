"""The page in a real browser; skipped where none is installed."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from dfa_nerfstudio.media.audio import read_audio
from tests.pipeline_fixture import BROWSER, PipelineRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]


@pytest.mark.parametrize("transport", ["webrtc", "mp4"])
def test_the_page_speaks_a_file_shows_the_avatar_and_measures_latency(
    port: int, demo: PipelineRun, tmp_path: Path, transport: str
):
    from playwright.sync_api import expect, sync_playwright

    speech = tmp_path / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((read_audio(demo.speech)[:64_000] * 32767).astype("<i2").tobytes())
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("Synthetic video")).to_be_visible()
        page.select_option("#transport", transport)
        page.click("#connect")
        expect(page.locator("video")).to_have_js_property("videoWidth", 32, timeout=20_000)
        page.set_input_files("#file", speech)
        expect(page.locator("#state")).to_have_text("speaking", timeout=10_000)
        page.wait_for_function("measured.length > 20", timeout=20_000)
        latencies = sorted(page.evaluate("measured"))
        assert 0.2 < latencies[len(latencies) // 2] < 3.0, "not a time from audio to its frame"
        before = page.evaluate("video.currentTime")
        page.click("#interrupt")
        expect(page.locator("#silence")).to_contain_text(" s", timeout=10_000)
        expect(page.locator("video")).to_have_js_property("muted", False)
        page.wait_for_timeout(1000)
        assert page.evaluate("video.currentTime") > before + 0.5, "the avatar does not move on"
        browser.close()
    assert errors == []
