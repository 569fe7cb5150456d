"""A user study, from videos to mean opinion scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.study.build_study import QUESTIONS, build_study
from dfa_nerfstudio.evaluation.study.mos import MeanOpinionScore, mean_opinion_scores
from dfa_nerfstudio.media.video_writer import VideoWriter
from tests.pipeline_fixture import BROWSER


@pytest.fixture
def methods(tmp_path: Path) -> list[str]:
    """`NAME=FOLDER` of two methods with two sentences each."""
    for method in ("ours", "theirs"):
        for sentence in ("one.mp4", "two.mp4"):
            (tmp_path / method).mkdir(exist_ok=True)
            with VideoWriter(tmp_path / method / sentence, 25, (32, 32), 16_000) as writer:
                writer.write_audio(np.zeros(6400, np.float32))
                for _ in range(10):
                    writer.write_frame(np.zeros((32, 32, 3), np.uint8))
    return [f"{method}={tmp_path / method}" for method in ("ours", "theirs")]


def test_the_page_does_not_reveal_the_method(tmp_path: Path, methods: list[str]):
    build_study(methods, tmp_path / "study")
    key = json.loads((tmp_path / "study/key.json").read_text())
    participants = tmp_path / "study/participants"
    page = (participants / "study.html").read_text()
    assert {path.name for path in (participants / "videos").iterdir()} == set(key["videos"])
    assert "ours" not in page and "theirs" not in page and "one.mp4" not in page
    assert all(question in page for question in QUESTIONS.values()) and all(name in page for name in key["videos"])
    pairs = sorted((video["method"], video["sentence"]) for video in key["videos"].values())
    assert pairs == [(m, s) for m in ("ours", "theirs") for s in ("one.mp4", "two.mp4")]


def test_the_folder_of_an_ablation_stands_for_all_its_systems(tmp_path: Path, methods: list[str]):
    (tmp_path / "ablations/videos").mkdir(parents=True)
    for method in ("ours", "theirs"):
        (tmp_path / method).rename(tmp_path / "ablations/videos" / method)
    build_study([str(tmp_path / "ablations")], tmp_path / "study")
    key = json.loads((tmp_path / "study/key.json").read_text())
    assert {video["method"] for video in key["videos"].values()} == {"ours", "theirs"}
    with pytest.raises(UserError, match="or the folder of a dfa-eval ablate"):
        build_study([str(tmp_path)], tmp_path / "other")


def test_mean_opinion_scores_equal_those_computed_by_hand(
    tmp_path: Path, methods: list[str], capsys: pytest.CaptureFixture[str]
):
    build_study(methods, tmp_path / "study")
    key = json.loads((tmp_path / "study/key.json").read_text())
    answers = tmp_path / "scores"
    answers.mkdir()
    for person, rating in enumerate((3, 4, 5)):
        scores = {
            code: dict.fromkeys(QUESTIONS, rating if video["method"] == "ours" else 2)
            for code, video in key["videos"].items()
        }
        (answers / f"{person}.json").write_text(json.dumps({"study": key["study"], "scores": scores}))
    mean_opinion_scores(tmp_path / "study/key.json", [answers], tmp_path / "mos.json")
    stored = json.loads((tmp_path / "mos.json").read_text())
    # 3, 4 and 5: standard deviation 1, Student's t of two degrees of freedom 4.303, over the root of 3
    assert stored["participants"] == 3
    assert stored["mos"]["ours"]["sync"] == {"mean": 4.0, "half_width": 2.48}
    assert stored["mos"]["theirs"]["realness"] == {"mean": 2.0, "half_width": 0.0}
    assert "4.00" in capsys.readouterr().out
    assert str(MeanOpinionScore.from_participants(np.array([3.0]))) == "3.00"


def test_bad_folders_and_scores_are_refused(tmp_path: Path, methods: list[str]):
    (tmp_path / "theirs/two.mp4").unlink()
    with pytest.raises(UserError, match=r"theirs: has no two\.mp4"):
        build_study(methods, tmp_path / "study")
    assert not (tmp_path / "study").exists()
    with pytest.raises(UserError, match="NAME=FOLDER"):
        build_study(["ours"], tmp_path / "study")
    build_study(methods[:1], tmp_path / "study")
    key = tmp_path / "study/key.json"
    stranger = tmp_path / "stranger.json"
    for scores, message in (
        ({"study": "another", "scores": {}}, "another study"),
        ({"study": json.loads(key.read_text())["study"], "scores": {"x.mp4": {"sync": 3}}}, "no score of this study"),
    ):
        stranger.write_text(json.dumps(scores))
        with pytest.raises(UserError, match=message):
            mean_opinion_scores(key, [stranger])
    with pytest.raises(UserError, match=r"key\.json: not a file of a study"):
        mean_opinion_scores(key, [key])


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_the_page_collects_and_saves_scores(tmp_path: Path, methods: list[str]):
    from playwright.sync_api import expect, sync_playwright

    build_study(methods, tmp_path / "study")
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--mute-audio"])
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "study/participants/study.html").as_uri())
        page.get_by_text("Begin").click()
        next_button = page.locator("#next")
        for number in range(4):
            expect(page.locator("h1")).to_have_text(f"Video {number + 1} of 4")
            if number == 1:
                page.reload()  # earlier answers are kept
                page.get_by_text("Begin").click()
            for question in QUESTIONS:
                page.locator(f"fieldset[data-question={question}] label", has_text=str(number + 1)).click()
            expect(next_button).to_be_disabled()  # not watched to its end
            page.evaluate("document.getElementById('video').play()")
            expect(next_button).to_be_enabled(timeout=20_000)
            if number < 3:
                next_button.click()
        with page.expect_download() as saved:
            next_button.click()
        saved.value.save_as(tmp_path / "scores.json")
        browser.close()
    assert not errors
    mean_opinion_scores(tmp_path / "study/key.json", [tmp_path / "scores.json"], tmp_path / "mos.json")
    stored = json.loads((tmp_path / "mos.json").read_text())["mos"]
    assert stored["ours"]["sync"]["mean"] + stored["theirs"]["sync"]["mean"] == 5.0  # 1 to 4, two each
