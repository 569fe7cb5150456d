"""Links of README, CONTRIBUTING and docs: files and headings exist, addresses of other hosts are well formed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import pytest

from tests.docs.pages import DOCS, ON_GITHUB, ROOT, anchors, links

PAGES = [*ON_GITHUB, ROOT / "CHANGELOG.md", *DOCS]


def problem_of(page: Path, target: str) -> str:
    """What is wrong with a link; empty if nothing is."""
    if target.startswith(("http:", "https:", "mailto:")):
        address = urlparse(target)
        good = address.scheme in ("http", "https") and "." in address.netloc and " " not in target
        return "" if good else "not an address"
    if ":" in target:
        return "neither a file nor an address"
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return "no such file"
    if not file.is_relative_to(ROOT):
        return "outside the repository"
    if anchor and (file.suffix != ".md" or anchor not in anchors(file)):
        return "no such heading"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of(page: Path) -> None:
    problems = [
        f"{link.place}: {link.text}: {problem}" for link in links(page) if (problem := problem_of(page, link.text))
    ]
    assert not problems, "\n".join(problems)


def test_links_have_a_text() -> None:
    """MyST would insert the title of a page for `[](page.md)`; GitHub shows nothing."""
    assert not [page.name for page in PAGES if "[](" in page.read_text()]


@pytest.mark.parametrize(
    "target",
    ["docs/no_such_page.md", "docs/training.md#backend", "#no-heading", "https://nowhere", "../outside.md", "ftp:x"],
)
def test_a_wrong_link_is_found(target: str) -> None:
    assert problem_of(ROOT / "README.md", target)


def test_no_page_links_to_the_former_guide() -> None:
    folders = ("dfa_nerfstudio", "preprocessing", "method_configs", "benchmarks", "docs", "tests")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py")]
    former = "guide" + ".md"
    assert not [
        path for path in (*sources, ROOT / "README.md") if "_build" not in path.parts and former in path.read_text()
    ]
