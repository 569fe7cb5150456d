"""Shows the progress and errors of the panel's actions in one line."""

from __future__ import annotations

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
        self._markdown.content = as_mdx(text)

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


def as_mdx(text: str) -> str:
    """Markup that the browser renders as exactly this text, in one line.

    The page renders MDX, which executes code: `{...}` anywhere, and a line that begins with `import` or `export`. The
    text contains names of files. So the first letter, and all that is neither letter, digit nor space, becomes a
    character reference, which MDX resolves last.

    Example:
        >>> as_mdx("a_b.wav: {no} audio")
        '&#97;&#95;b&#46;wav&#58; &#123;no&#125; audio'
    """
    line = " ".join(text.split())
    return "".join(
        letter if number and (letter.isalnum() or letter == " ") else f"&#{ord(letter)};"
        for number, letter in enumerate(line)
    )
