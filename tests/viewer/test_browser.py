"""The panel in a real browser; skipped where none is installed."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.face.topology import EYES
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.talk.provenance import inspect
from tests.pipeline_fixture import BIN, BROWSER, Walked

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture
def address(demo: Walked) -> Iterator[str]:
    """Where the trained demo subject is shown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(BIN / "dfa-viewer"), "--load-config", str(demo.config), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for _ in range(120):
                with socket.socket() as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, process.stdout.read()
                time.sleep(1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def test_the_panel_plays_and_moves_one_attribute(demo: Walked, address: str, tmp_path: Path):
    from playwright.sync_api import expect, sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if _is_ours(line, address) else None)
        page.goto(address)
        expect(page.get_by_text("Talking head")).to_be_visible(timeout=60_000)
        expect(page.locator("audio")).to_have_count(1, timeout=60_000)
        expect(page.get_by_text("Failed to Render")).to_have_count(0)
        seen = _settled(page)
        assert _error(seen, _portrait(demo, seen)) < 30, "the camera does not start where the film's stood"

        frame = _number(page, "Frame")
        page.get_by_role("button", name="Play").click()
        expect(frame).not_to_have_value("0", timeout=20_000)
        sound = page.locator("audio")
        expect(sound).to_have_js_property("paused", False, timeout=20_000)
        page.wait_for_timeout(3000)
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        expect(sound).to_have_js_property("paused", True)
        page.wait_for_timeout(500)
        heard = sound.evaluate("it => it.currentTime")
        assert 0 < heard == pytest.approx(int(frame.input_value()) / FRAME_RATE, abs=0.05), (
            "sound and picture are apart"
        )
        stopped = frame.input_value()
        page.wait_for_timeout(1000)
        assert frame.input_value() == stopped

        _set(frame, "0")
        opened = _settled(page)
        _number(page, "Set the eyes").check()
        _set(_number(page, "Eye opening"), "0")
        closed = _settled(page)
        change = cv2.GaussianBlur(np.square(opened - closed).mean(-1), (0, 0), 10)
        y, x = np.unravel_index(change.argmax(), change.shape)
        distance = np.linalg.norm(_eyes(demo, opened) - (x, y), axis=-1).min()
        assert change.max() > 20 and distance < 40, "not the eyes have changed most"

        film = tmp_path / "film.mp4"
        page.get_by_role("textbox").last.fill(str(film))
        page.get_by_role("textbox").last.press("Enter")
        page.get_by_role("button", name="Write this track").click()
        expect(page.get_by_text("wrote")).to_be_visible(timeout=120_000)
        assert inspect(film).synthetic
        browser.close()
    assert errors == []


def _is_ours(line: Any, address: str) -> bool:
    """nerfstudio's logo comes from another host, which need not be reached, and its viewer complains without the panel
    too that the bounding sphere of some lines of its own is not a number."""
    here = line.location.get("url", "").startswith(address)
    return line.type == "error" and here and "computeBoundingSphere" not in line.text


def _number(page: Any, label: str) -> Any:
    """The number beside a slider."""
    return page.get_by_text(label, exact=True).locator("xpath=following::input[not(@type='hidden')][1]")


def _set(number: Any, value: str) -> None:
    number.fill(value)
    number.press("Enter")


def _settled(page: Any) -> np.ndarray:
    """The picture when it has not become sharper for longer than a slow machine renders, [H, W, 3]."""
    last, same = _picture(page), 0
    for _ in range(60):
        page.wait_for_timeout(1500)
        now = _picture(page)
        same = same + 1 if now.shape == last.shape and np.abs(now - last).mean() < 0.05 else 0
        if same == 4:
            return now
        last = now
    raise AssertionError("the picture does not come to rest")


def _picture(page: Any) -> np.ndarray:
    box = {name: int(value) for name, value in page.locator("canvas").last.bounding_box().items()}
    return cv2.imdecode(np.frombuffer(page.screenshot(clip=box), np.uint8), cv2.IMREAD_COLOR).astype(float)


def _portrait(demo: Walked, like: np.ndarray) -> np.ndarray:
    """The film's first frame as large as the picture's middle."""
    portrait = cv2.imread(str(sorted((demo.data / "images").iterdir())[0]))
    return cv2.resize(portrait, (len(like), len(like))).astype(float)


def _eyes(demo: Walked, like: np.ndarray) -> np.ndarray:
    """Where the eyes' points are in the picture of the first frame, [N, 2]."""
    folder = DatasetFolder.open(demo.data)
    points = folder.attributes.landmarks[0, [*EYES[0], *EYES[1]], :2] * (len(like) / folder.meta["h"])
    return points + np.array([(like.shape[1] - len(like)) / 2, 0])


def _error(seen: np.ndarray, portrait: np.ndarray) -> float:
    left = (seen.shape[1] - portrait.shape[1]) // 2
    middle = slice(len(seen) // 4, 3 * len(seen) // 4)  # below the viewer's bar, above its axes
    window = seen[middle, max(left, 0) : left + portrait.shape[1]]
    return float(np.abs(window - portrait[middle, max(-left, 0) : max(-left, 0) + window.shape[1]]).mean())
