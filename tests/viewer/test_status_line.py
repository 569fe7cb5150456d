"""The status line: progress while an action runs, its error afterwards."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.viewer.status_line import StatusLine


def test_progress_is_shown_and_then_cleared_or_replaced_by_the_error():
    element = SimpleNamespace(content="")
    status, shown = StatusLine(SimpleNamespace(add_markdown=lambda _: element)), []
    assert status.run(lambda: shown.append(element.content), "writing")
    assert [html.unescape(text) for text in shown] == ["writing ..."] and element.content == ""

    def refuse() -> None:
        raise UserError("a_b.wav: no [audio]")

    assert not status.run(refuse, "generating")
    assert html.unescape(element.content) == "a_b.wav: no [audio]"
    assert status.run(lambda: status.show("wrote"), "writing") and element.content == "&#119;rote"


def test_no_name_of_a_file_is_executed_by_the_page():
    """The page renders MDX: expressions in braces, elements, and lines that begin with import or export are code."""
    element = SimpleNamespace(content="")
    status = StatusLine(SimpleNamespace(add_markdown=lambda _: element))
    for name in (
        "export const x = alert(1)",
        "{alert(1)}.wav",
        "<img src=x onerror=alert(1)>",
        "a\n\nexport {b}",
        "&lt;b>",
    ):
        status.show(f"{name}: no such file")
        plain = re.sub(r"&#\d+;", "", element.content)
        assert re.fullmatch(r"[\w ]*", plain) and element.content.startswith("&#"), element.content
        assert html.unescape(element.content) == " ".join(f"{name}: no such file".split())
