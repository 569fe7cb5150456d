"""The status line: progress while an action runs, its error afterwards."""

from __future__ import annotations

from types import SimpleNamespace

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.viewer.status_line import StatusLine


def test_progress_is_shown_and_then_cleared_or_replaced_by_the_error():
    element = SimpleNamespace(content="")
    status, shown = StatusLine(SimpleNamespace(add_markdown=lambda _: element)), []
    assert status.run(lambda: shown.append(element.content), "writing")
    assert shown == ["writing ..."] and element.content == ""

    def refuse() -> None:
        raise UserError("a_b.wav: no [audio]")

    assert not status.run(refuse, "generating")
    assert element.content == r"a\_b.wav: no \[audio\]"
    assert status.run(lambda: status.show("wrote"), "writing") and element.content == "wrote"
