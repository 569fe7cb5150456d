"""Measures `dfa-serve`: latency in steady speech and after a pause, interruption, several clients, and the browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from websockets.exceptions import ConnectionClosed

from benchmarks.live_client import LiveClient
from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE

PORT = 8797
PAUSE_S = 10.0
"""Seconds of silence between two utterances."""
NUM_INTERRUPTIONS = 6
SPEECH_START = 2 * SAMPLE_RATE
"""Sample of the recording at which somebody speaks."""
START_TIMEOUT_S = 180
"""Seconds that the server may take to start, when it has to compile."""


@dataclass
class LiveServerBenchmark:
    """The live avatar server with its clients on the same machine."""

    load_config: Path
    """config.yml of a run."""
    shared: Path = Path("../shared")
    """Folder of the test material, with speech/english_60s.flac."""
    size: int | None = None
    """Longer side of the video in pixels; by default that of the training images."""
    seconds: float = 20.0
    """Duration of each utterance in seconds."""
    only: tuple[Literal["speech", "interruption", "clients", "browser"], ...] = ()
    """Parts to measure; all by default."""
    output: Path = Path("outputs/bench/live_server")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; writes the record after each part."""
        head, tables = record_header("cpu"), dict[str, list[Row]]()
        self.output.mkdir(parents=True, exist_ok=True)
        speech = read_audio(self.shared / "speech" / "english_60s.flac")
        self._speech = speech[SPEECH_START:][: round(self.seconds * SAMPLE_RATE)]
        parts = {
            "speech": ("one client, speech in real time, a pause of 10 s, and speech again", self._one_client),
            "interruption": ("interruption: from the request to the last sound that is received", self._interruptions),
            "clients": ("several clients that speak at the same time", self._several_clients),
            "browser": ("Chromium: from the sent sample to the frame on the screen", self._browser),
        }
        with self._server() as health:
            load = os.getloadavg()[0]
            tables["server"] = [{"size": self.size or "full", **health, "load average at the start": load}]
            for name, (title, part) in parts.items():
                if not self.only or name in self.only:
                    tables[title] = part(health)
                    write_record("live_server_cpu", head, tables)

    @contextlib.contextmanager
    def _server(self) -> Iterator[dict[str, Any]]:
        """Runs the server; provides what it says of itself."""
        command = [sys.executable, "-m", "dfa_nerfstudio.serve.cli", "--load-config", str(self.load_config)]
        command += ["--port", str(PORT), *([] if self.size is None else ["--size", str(self.size)])]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            try:
                for _ in range(START_TIMEOUT_S):
                    if process.poll() is not None:
                        raise UserError("dfa-serve does not start")
                    with contextlib.suppress(OSError):
                        health = _health()
                        break
                    time.sleep(1)
                else:
                    raise UserError(f"dfa-serve has not started within {START_TIMEOUT_S} s")
                yield {name: health[name] for name in ("frames_per_second", "max_sessions")}
            finally:
                process.terminate()

    def _one_client(self, health: dict[str, Any]) -> list[Row]:
        client = _connect()
        time.sleep(2)
        client.speak(self._speech)
        time.sleep(PAUSE_S)
        client.speak(self._speech)
        time.sleep(1.5)
        client.close()
        names = {1: "steady speech", 2: f"after a pause of {PAUSE_S:g} s"}
        return [{"part": names[utterance], **_row(values)} for utterance, values in client.latencies().items()] + [
            {
                "part": "all, frame encoded (as the server measures it)",
                "median_s": float(np.median(client.statistics("latency")[2:])),
                "worst_s": max(client.statistics("worst_latency")[2:]),
                "dropped": sum(client.statistics("dropped_frames")[2:]),
            }
        ]

    def _interruptions(self, health: dict[str, Any]) -> list[Row]:
        client = _connect()
        starts = []
        for number in range(NUM_INTERRUPTIONS):
            time.sleep(1.5)
            starts.append(client.interrupt_speech(self._speech, 1.5 + 0.17 * number))
        time.sleep(2)
        client.close()
        sounds = client.sounds()
        last = [
            sounds[(sounds > start - 0.5) & (sounds < start + 1.5)].max(initial=-np.inf) - start for start in starts
        ]
        if not np.isfinite(last).all():
            raise UserError("an interruption came in a pause of the speech; choose another `seconds`")
        return [{"interruptions": len(last), "median_s": float(np.median(last)), "worst_s": max(last)}]

    def _several_clients(self, health: dict[str, Any]) -> list[Row]:
        rows = []
        for number in range(1, health["max_sessions"] + 1):
            clients = [_connect() for _ in range(number)]
            with ThreadPoolExecutor(number) as pool:
                time.sleep(2)
                list(pool.map(lambda client: client.speak(self._speech), clients))
                time.sleep(1.5)
            try:
                LiveClient(PORT).close()
                refusal = "none"
            except ConnectionClosed as error:
                refusal = str(error.rcvd.code) if error.rcvd else "?"
            for client in clients:
                client.close()
            latencies = np.concatenate([values for client in clients for values in client.latencies().values()])
            dropped = sum(sum(client.statistics("dropped_frames")[2:]) for client in clients)
            rows.append({"clients": number, **_row(latencies), "dropped": dropped, "one more is refused by": refusal})
        return rows

    def _browser(self, health: dict[str, Any]) -> list[Row]:
        speech = self.output / "speech.wav"
        _write_wav(speech, self._speech)
        return [self._page(transport, speech) for transport in ("webrtc", "mp4")]

    def _page(self, transport: str, speech: Path) -> Row:
        """Measures with the server's own page."""
        from playwright.sync_api import sync_playwright

        _wait_until_free()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{PORT}/")
            page.select_option("#transport", transport)
            page.click("#connect")
            page.wait_for_timeout(4000)
            page.set_input_files("#file", speech)
            page.wait_for_timeout(1000 * self.seconds + 2000)
            measured = np.array(page.evaluate("measured"))
            page.set_input_files("#file", speech)
            page.wait_for_timeout(3000)
            page.click("#interrupt")
            page.wait_for_timeout(1500)
            silence = page.inner_text("#silence")
            browser.close()
        return {"transport": transport, **_row(measured), "interruption to silent frame": silence}


def _row(latencies: np.ndarray) -> Row:
    return {
        "frames": len(latencies),
        "median_s": float(np.median(latencies)),
        "p95_s": float(np.quantile(latencies, 0.95)),
        "worst_s": float(latencies.max()),
    }


def _health() -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5) as reply:
        return json.load(reply)


def _wait_until_free() -> None:
    while _health()["sessions"]:
        time.sleep(0.1)


def _connect() -> LiveClient:
    """Opens a session; the one before may still have to end."""
    for _ in range(100):
        with contextlib.suppress(ConnectionClosed):
            return LiveClient(PORT)
        time.sleep(0.1)
    raise UserError("the server has no place for a client")


def _write_wav(path: Path, samples: Float32[np.ndarray, " S"]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
