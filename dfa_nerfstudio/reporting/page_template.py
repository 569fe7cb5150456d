"""Templates of the HTML pages that open from disk, with the style and the chart macros that they share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from dfa_nerfstudio.errors import as_flags

SHARED_TEMPLATES = Path(__file__).parent
"""Folder of `style.css.jinja` and `charts.html.jinja`."""


@cache
def page_template(package: Path) -> jinja2.Template:
    """The template `page.html.jinja` of a package's folder; its includes lie there or in `SHARED_TEMPLATES`."""
    loader = jinja2.FileSystemLoader([package, SHARED_TEMPLATES])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["hex"] = lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb)
    environment.filters["as_flags"] = as_flags
    return environment.get_template("page.html.jinja")
