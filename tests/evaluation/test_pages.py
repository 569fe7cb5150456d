"""Pages show names of videos, rows and errors as they are, and never run them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from dfa_nerfstudio.evaluation.ablation.ablation_page import AblationResults, write_ablations
from dfa_nerfstudio.evaluation.ablation.latent_identity import LatentProjection
from dfa_nerfstudio.evaluation.ablation.result_table import MINUTES, Column, ResultTable
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.evaluation_page import write_page
from dfa_nerfstudio.evaluation.study import build_study
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.reporting.charts import TimeChart, TimeSeries, TimeSpan
from dfa_nerfstudio.reporting.page_template import page_template

ROOT = Path(__file__).parents[2]
HARMFUL = """</script></title><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"""


class Page(HTMLParser):
    """Scripts of a page, names of its elements' attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.attributes: set[str] = set()
        self.text, self._in_script = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.scripts.append("")
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data


def check(page: Page, num_scripts: int, num_shown: int) -> None:
    assert len(page.scripts) == num_scripts and not any(name.startswith("on") for name in page.attributes)
    assert page.text.count(HARMFUL) >= num_shown, page.text[:2000]


def evaluation() -> Evaluation:
    curve = [30.0, 31.0, 29.0, 30.0]
    return Evaluation(
        HARMFUL, HARMFUL, 4, 4, (32, 32), {"full": {"psnr": 30.0}}, missing={"prediction": 0, "truth": 0},
        curves={"psnr, full": curve, "lmd": curve}, notes=[f"x{HARMFUL}"],
    )  # fmt: skip


def test_the_evaluation_page(tmp_path: Path) -> None:
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    write_page(tmp_path / "report.html", evaluation(), VideoPair("", frames, frames, np.ones(4, bool), None, None))
    check(Page((tmp_path / "report.html").read_text()), 1, 3)


def test_the_ablation_page(tmp_path: Path) -> None:
    latent = LatentProjection(np.random.default_rng(0).normal(size=(6, 2)), [HARMFUL] * 6, 0.5, 0.1)
    table = ResultTable(
        HARMFUL, HARMFUL, (Column(MINUTES),), {HARMFUL: {0: {"minutes": 1.0}}}, links={HARMFUL: HARMFUL}
    )
    results = AblationResults(HARMFUL, 3.0, (0,), {"lips": table}, latent, {"lips": {HARMFUL: "data:,"}})
    write_ablations(tmp_path, results, latex=False)
    check(Page((tmp_path / "ablations.html").read_text()), 0, 6)


def test_the_page_of_a_study() -> None:
    template = page_template(Path(build_study.__file__).parent)
    page = Page(template.render({"videos": [HARMFUL], "study": HARMFUL, "questions": {HARMFUL: HARMFUL}}))
    check(page, 1, 1)
    assert "</" not in page.scripts[0] and "alert(1)" in page.scripts[0]  # as the text of a string


def test_labels_of_a_chart() -> None:
    chart = TimeChart("", "", 1.0, [TimeSeries("", np.zeros(3))], [TimeSpan("cut", 0.0, 0.5, HARMFUL)])
    assert Page(chart.svg).text == HARMFUL and not Page(chart.svg).scripts


def test_nothing_but_drawings_is_put_into_a_page_unescaped() -> None:
    templates = [path for name in ("dfa_nerfstudio", "preprocessing") for path in (ROOT / name).rglob("*.jinja")]
    assert len(templates) >= 7
    for path in templates:
        unescaped = re.findall(r"[\w.]+ *\| *safe|autoescape", path.read_text())
        assert all(name.endswith(".svg|safe") for name in unescaped), path
