"""Shows the progress and errors of the panel's actions in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dfa_nerfstudio.errors import UserError


class StatusLine:
    """One line of text in the panel.

    Args:
        gui: viser's GUI API; the line is added to its open folder.
    """

    def __init__(self, gui: Any) -> None:
        self._markdown, self._text = gui.add_markdown(""), ""

    def show(self, text: str) -> None:
        """Replaces the text."""
        self._text = text
        self._markdown.content = re.sub(r"([\\`*_{}<>\[\]])", r"\\\1", text)  # rendered as MDX

    def run(self, action: Callable[[], None], description: str = "") -> bool:
        """Runs an action, shows its description meanwhile, and afterwards its `UserError` if it raised one.

        Returns:
            whether it succeeded.
        """
        progress = f"{description} ..." if description else ""
        self.show(progress)
        try:
            action()
        except UserError as error:
            self.show(str(error))
            return False
        if self._text == progress:
            self.show("")
        return True
