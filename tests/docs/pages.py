"""The Markdown files of the repository, and what is in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ON_GITHUB = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks/README.md",
    ROOT / "benchmarks/settings.md",
]
"""Pages that are read in the repository itself; Sphinx includes some of them."""
DOCS = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
HISTORY = {ROOT / "CHANGELOG.md", ROOT / "docs/changelog.md", ROOT / "docs/licences.md"}
"""Pages that name former options, or are written by a program."""


class Example(NamedTuple):
    """A command line of a page."""

    page: Path
    number: int
    """Number of the line."""
    text: str

    @property
    def place(self) -> str:
        """Page and line, as the identifier of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.number}"


def fenced_lines(page: Path) -> Iterator[tuple[int, str, str]]:
    """Number, language and text of each line within fences; the language is None outside them."""
    fence, language = "", ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        opening = re.match(r"\s*(```+|~~~+|:::+)\s*(\{?[\w-]*\}?)", line)
        if opening and not fence:
            fence, language = opening.groups()
        elif fence and line.strip() == fence:
            fence, language = "", ""
        else:
            yield number, language if fence else "text", line


def shell_lines(page: Path) -> list[Example]:
    """The lines of the page's shell examples; a line that ends in a backslash continues in the next one."""
    found, begun, start = [], "", 0
    for number, language, line in fenced_lines(page):
        if language not in ("sh", "bash", "shell", "console"):
            continue
        start = start if begun else number
        begun += line.strip().removesuffix("\\")
        if not line.endswith("\\"):
            if begun and not begun.startswith("#"):
                found.append(Example(page, start, begun))
            begun = ""
    return found


def code_spans(page: Path) -> list[Example]:
    """Code in running text."""
    text = "\n".join(
        line if language == "text" else "" for line, language in _all_lines(page)
    )  # spans may run over the end of a line
    spans = re.finditer(r"(?<!`)`([^`]+)`(?!`)", text)
    return [
        Example(page, text.count("\n", 0, span.start()) + 1, " ".join(span.group(1).split()).replace("\\|", "|"))
        for span in spans
    ]


def _all_lines(page: Path) -> list[tuple[str, str]]:
    inside = {number: (line, language) for number, language, line in fenced_lines(page)}
    count = len(page.read_text().splitlines())
    return [inside.get(number, ("", "fence")) for number in range(1, count + 1)]


def links(page: Path) -> list[Example]:
    """Targets of the links and images of running text."""
    lines = [(number, line) for number, language, line in fenced_lines(page) if language == "text"]
    found = [
        Example(page, number, target)
        for number, line in lines
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?<!`)`[^`]+`(?!`)", "", line))
    ]
    text = "\n".join(line for _, line in lines)
    return found + [Example(page, 0, url) for url in re.findall(r"<(https?://[^>]*)>", text)]


def anchors(page: Path) -> set[str]:
    """Anchors of the page's headings, as GitHub and MyST make them."""
    found: set[str] = set()
    for _, language, line in fenced_lines(page):
        if language == "text" and (heading := re.match(r"#+ (.+)", line)):
            title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.group(1)).replace("`", "").strip().lower()
            kept = (letter for letter in title if letter in " -_" or unicodedata.category(letter)[0] in "LNM")
            found.add("".join(kept).replace(" ", "-"))
        elif label := re.fullmatch(r"\(([\w-]+)\)=", line):
            found.add(label.group(1))
    return found
