"""The report in words and as a page, for a dataset folder with known content."""

from __future__ import annotations

import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, AUDIO, REPORT_FILE, REPORT_PAGE, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import write_wav
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.report.report_page import write_report_page
from dfa_nerfstudio.reporting.charts import TimeChart, TimeSeries, column_extremes, nice_ticks

GOOD = ProcessReport(
    source='<b>me & "you"</b>.mp4',
    options={"size": 40},
    num_frames=1800,
    num_train=1600,
    image_size=256,
    eye_distance=70.0,
    reprojection_error=0.4,
    speech_fraction=0.8,
    num_blinks=12,
    jitter=0.2,
    jitter_before_smoothing=0.5,
    stage_seconds={"face and person": 60.0, "torso": 10.0},
)


class Page(HTMLParser):
    """Parses a page: unclosed elements, link targets, and text."""

    VOID = ("meta", "img", "br", "path", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture()
def folder(ball_person: Path, tmp_path: Path) -> Path:
    shutil.copytree(ball_person, tmp_path / "person")
    clip = DatasetFolder.open(tmp_path / "person").attributes
    clip.face_found[10:12] = False
    clip.shot[30:] = 1
    clip.shot[20:25] = -1
    clip.blinks = np.array([[0.2, 0.28, 0.4]], np.float32)
    clip.torso_deviation[:] = 0.002
    clip.save(tmp_path / "person" / ATTRIBUTES)
    write_wav(tmp_path / "person" / AUDIO, np.sin(np.arange(48 * 640) / 9).astype(np.float32))
    return tmp_path / "person"


def test_page_is_well_formed_and_self_contained(folder: Path) -> None:
    dataclasses.replace(GOOD, warnings=["the <audio> ends early"]).write(folder / REPORT_FILE)
    write_report_page(folder)
    text = (folder / REPORT_PAGE).read_text()
    page = Page(text)
    assert not page.open
    assert page.links and all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not re.search(r"https?:|url\(|@import|<link", text)
    assert GOOD.source in page.words and GOOD.source not in text  # escaped
    assert "The <audio> ends early." in page.words
    assert "Suitable for training" in page.words
    for field in dataclasses.fields(ProcessReport):  # every scalar field
        if field.type in ("int", "float", "bool"):
            assert field.name.replace("_", " ") in page.words
    assert len(re.findall(r'<path class="cut"', text)) == 7 and len(re.findall(r'<rect class="blink"', text)) == 1
    assert len(re.findall(r'<path class="band', text)) == 4
    # frames 20 to 24 of 48 are excluded: the curves have a gap there
    yaw = re.search(r'<path class="line c0" d="([^"]*)"', text)
    assert yaw and yaw[1].count("M") == 2
    assert 'x="416.7" y="0" width="104.17"' in text
    (folder / REPORT_FILE).write_text("[]")
    with pytest.raises(UserError, match="not a report"):
        write_report_page(folder)


def test_page_of_a_split_video_links_to_the_pages_of_its_scenes(tmp_path: Path) -> None:
    scene = dataclasses.replace(GOOD, start=12.0)
    ProcessReport(source="two.mp4", scenes={"scene_00": GOOD, "scene_01": scene}).write(tmp_path / REPORT_FILE)
    write_report_page(tmp_path)
    page = Page((tmp_path / REPORT_PAGE).read_text())
    assert page.links == ["scene_00/report.html", "scene_01/report.html"]
    assert "from 12.0 s" in page.words
    read = ProcessReport.read(tmp_path / REPORT_FILE).scenes["scene_01"]
    assert (read.start, read.num_frames, read.verdict()) == (12.0, scene.num_frames, scene.verdict())


def test_verdict_lists_the_problems() -> None:
    assert GOOD.verdict().grade == "good"
    fair = dataclasses.replace(GOOD, torso_tracked=False, excluded_spans=[(1.0, 7.0)])
    assert fair.verdict().grade == "fair"
    assert "the torso is not tracked" in fair.verdict().text and "in only 92%" in fair.verdict().text
    assert dataclasses.replace(GOOD, num_frames=100, num_train=90).verdict().grade == "poor"
    assert fair.lines()[0].startswith("Suitable for training, with reservations: the face is tracked")


def test_curves_keep_their_peaks_and_have_limited_size() -> None:
    values = np.sin(np.arange(90_000) / 700)
    values[[12_345, 70_001]] = 3.0, -3.0
    low, high = column_extremes(values)
    assert len(low) == len(high) == 1000 and low.min() == -3 and high.max() == 3
    assert high.argmax() == 137 and low.argmin() == 777
    values[40_000:50_000] = np.nan
    svg = TimeChart("an hour", "", 3600.0, [TimeSeries("a", values)], y_limits=(-4, 4)).svg
    assert len(svg) < 40_000 and svg.count("M") == 2 + 5  # the pieces of the curve, the lines of the grid
    chart = TimeChart("", "", 4.0, [TimeSeries("a", np.array([0.0, 10.0, 5.0, 10.0]))], y_limits=(0, 10))
    assert 'd="M125.0,100.0L375.0,0.0L625.0,50.0L875.0,0.0"' in chart.svg


def test_ticks_are_round_numbers() -> None:
    assert [label for label, _ in nice_ticks(-4.3, 4.4, 5)] == ["\N{MINUS SIGN}4", "\N{MINUS SIGN}2", "0", "2", "4"]
    assert [label for label, _ in nice_ticks(0, 0.011, 4)] == ["0.000", "0.005", "0.010"]
