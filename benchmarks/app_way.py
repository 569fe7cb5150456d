"""Drives the page of `dfa-app` in Chromium from a video to a talking video, and counts clicks and seconds."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import BIN, Row, record_header, run_timed, write_record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HARMLESS = ("Method not implemented.", "net::ERR_ABORTED")
"""Messages that gradio's page gives on every computer."""


@dataclass
class AppBenchmark:
    """Clicks and minutes from an empty library to a talking video of the demo subject, by a browser."""

    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    size: int = 128
    """Size in pixels, one of those that the page offers."""
    minutes: float = 3.0
    """Training time of the renderer."""
    output: Path = Path("outputs/bench/app")
    """Working folder, which is replaced."""

    def run(self) -> None:
        """Measures once, and writes screenshots."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(parents=True)
        clip, speech = self.output / "clip.mp4", self.output / "speech.wav"
        run_timed(["dfa-demo", "make-clip", "--output", clip])
        run_timed(["dfa-demo", "driving-audio", "--output", speech])
        head = record_header("cpu")
        with served(self.output / "people") as address:
            way = AppWay(address, self.output)
            row = way.drive(clip, speech, self.size, self.minutes)
        write_record("app_cpu", head, {f"dfa-app, demo subject, {self.size}x{self.size}": [row]})


@contextmanager
def served(library: Path, *options: str) -> Iterator[str]:
    """Starts `dfa-app` on a free port; yields its address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [str(BIN / "dfa-app"), "--library", str(library), "--port", str(port), "--no-browser", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("dfa-app: "):
                    break
            else:
                raise AssertionError(f"dfa-app ended with exit code {process.wait()}")
            yield line.split()[1]
        finally:
            process.terminate()
            process.wait(60)


class AppWay:
    """A user of the page who counts clicks.

    Args:
        address: of the page.
        pictures: folder for screenshots.
    """

    def __init__(self, address: str, pictures: Path) -> None:
        self.address, self.pictures = address, pictures
        self.clicks = 0
        self.errors: list[str] = []
        """Errors of the console, failed requests, and requests to other hosts."""

    def drive(
        self, clip: Path, speech: Path, size: int, minutes: float, timeout_s: float = 900, steps: float | None = None
    ) -> Row:
        """Goes from a video to a talking video.

        Args:
            clip: video of the person.
            speech: audio to say.
            size: size in pixels.
            minutes: training time of the renderer.
            timeout_s: longest time of one job in seconds.
            steps: factor on the training steps of the attribute models; None leaves the slider alone.

        Returns:
            clicks, seconds of each part, and the talking video's duration in the browser.
        """
        from playwright.sync_api import expect, sync_playwright

        timeout, start = 1000 * timeout_s, time.monotonic()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            self._watch(page)
            page.goto(self.address)
            self._upload(page, "#source-video input[type=file]", clip)
            page.locator("#name").locator("input, textarea").fill("Demo subject")
            self._click(page.get_by_role("radio", name=str(size), exact=True))
            self._click(page.locator("#check"))
            expect(page.locator("#verdict")).to_contain_text("training", timeout=timeout)
            expect(page.locator("#learn")).to_be_enabled(timeout=timeout)
            checked = time.monotonic()
            page.screenshot(path=self.pictures / "checked.png")
            self._set(page, "#minutes", minutes)
            if steps is not None:
                self._click(page.get_by_text("More", exact=True))
                self._set(page, "#steps", steps)
            self._click(page.locator("#learn"))
            expect(page.locator("#preview img")).to_be_visible(timeout=timeout)
            page.reload()  # nothing is lost by it
            expect(page.locator("#learn-status progress")).to_be_visible(timeout=30_000)
            page.screenshot(path=self.pictures / "learning.png")
            expect(page.locator("#learn-status")).to_contain_text("done after", timeout=timeout)
            learnt = time.monotonic()
            self._click(page.get_by_role("tab", name="Talk"))
            self._upload(page, "#speech input[type=file]", speech)
            self._click(page.locator("#generate"))
            expect(page.locator("#talk-status")).to_contain_text("done after", timeout=timeout)
            video = page.locator("#talking video")
            expect(video).to_have_js_property("error", None)
            page.wait_for_function("document.querySelector('#talking video').duration > 0")
            self._click(video)
            page.wait_for_function("document.querySelector('#talking video').currentTime > 0.3")
            duration = video.evaluate("video => video.duration")
            page.screenshot(path=self.pictures / "talking.png")
            browser.close()
        return {
            "clicks": self.clicks,
            "minutes": (time.monotonic() - start) / 60,
            "checking_s": checked - start,
            "learning_s": learnt - checked,
            "talking_s": time.monotonic() - learnt,
            "video_s": duration,
            "console_errors": len(self.errors),
        }

    def _click(self, target: Any) -> None:
        target.click()
        self.clicks += 1

    def _upload(self, page: Any, selector: str, file: Path) -> None:
        """Chooses a file: a click on the field, and one in the dialogue."""
        page.set_input_files(selector, str(file))
        self.clicks += 2

    def _set(self, page: Any, slider: str, value: float) -> None:
        page.locator(f"{slider} input[type=number]").fill(f"{value:g}")
        page.keyboard.press("Tab")
        self.clicks += 1

    def _watch(self, page: Any) -> None:
        def add(text: str) -> None:
            if not any(harmless in text for harmless in HARMLESS):
                self.errors.append(text)

        page.on("pageerror", lambda error: add(f"exception: {error}"))
        page.on("console", lambda line: add(f"console: {line.text}") if line.type == "error" else None)
        page.on("requestfailed", lambda request: add(f"failed: {request.url} {request.failure}"))
        own = (self.address, "blob:", "data:")
        page.on(
            "request", lambda request: add(f"other host: {request.url}") if not request.url.startswith(own) else None
        )
