"""The documentation builds without a warning, and its pages load nothing from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, fenced_lines

pytest.importorskip("sphinx", reason="make install brings it")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages, by the options of `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--builder", "html", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


def test_make_docs_has_these_options() -> None:
    done = subprocess.run(["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--fail-on-warning --keep-going --nitpicky docs docs/_build/html" in done.stdout


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    loaded = re.compile(
        r"""<(?:script|img|iframe|video|source)[^>]*\ssrc=["'](?:https?:)?//|<link[^>]*href=["'](?:https?:)?//"""
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert not [page.name for page in pages if loaded.search(page.read_text())]
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(\s*['\"]?(?:https?:)?//", path.read_text())]
    assert not styles


def test_options_come_from_the_parsers(site: Path) -> None:
    page = (site / "commands/dfa-talk.html").read_text()
    for option in ("--mouth-amplitude FLOAT", "--close-in-silence", "--container mpegts | mp4"):
        assert f">{option}<" in re.sub(r"</?span[^>]*>", "", page).replace("&#32;", " "), option


def test_equations_are_mathml(site: Path) -> None:
    assert (site / "method.html").read_text().count("<math ") > 10
    assert not list(site.rglob("*mathjax*"))


def test_examples_of_python_run(tmp_path: Path) -> None:
    """The examples of one page are run as one program."""
    for page in DOCS:
        lines = [line for _, language, line in fenced_lines(page) if language == "python"]
        if lines:
            (tmp_path / "example.py").write_text("\n".join(lines) + "\n")
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "example.py"]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
            assert done.returncode == 0, f"{page}: {done.stderr}"
