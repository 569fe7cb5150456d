"""Settings of the documentation: Sphinx with furo and MyST. `make docs` builds it, with warnings as errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.ext.napoleon.docstring import GoogleDocstring

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

project = "dfa-nerfstudio"
author = "the authors of dfa-nerfstudio"
copyright = "the authors of dfa-nerfstudio, Apache-2.0"
release = re.findall(r'^version = "(.+)"', (Path(__file__).parents[1] / "pyproject.toml").read_text(), re.MULTILINE)[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "option_tables"]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings put code into single backticks

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
# napoleon would take what stands before a colon in an attribute's docstring for its type.
GoogleDocstring._parse_attribute_docstring = lambda docstring: docstring._consume_to_end()
napoleon_google_docstring, napoleon_numpy_docstring = True, False
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore_regex = [
    # Types in signatures: those of other packages have no inventory here, because a build needs no network, and most of
    # this package's own classes have no page.
    (r"py:.*", r".*"),
]

html_theme = "furo"
html_title = "dfa-nerfstudio"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e6e", "color-brand-content": "#0b6e6e"},
    "dark_css_variables": {"color-brand-primary": "#5fd0c5", "color-brand-content": "#5fd0c5"},
}


def _show_examples(app, what, name, obj, options, lines: list[str]) -> None:
    """Turns `Example: text.` and an indented block below it into a block of code."""
    for number, line in enumerate(lines[:-2]):
        if re.match(r"Example: .*\.$", line) and not lines[number + 1] and lines[number + 2].startswith("    "):
            lines[number] = line[:-1] + "::"


def setup(app) -> None:
    """Connects the handler, before napoleon's."""
    app.connect("autodoc-process-docstring", _show_examples, priority=400)
