"""Templates of the pages that open from disk, with the style and the charts that they share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

SHARED = Path(__file__).parent
"""Holds `style.css.jinja` and `charts.html.jinja`."""


@cache
def page_template(package: Path) -> jinja2.Template:
    """The `page.html.jinja` of a package's folder; what it includes may lie there or beside this module."""
    loader = jinja2.FileSystemLoader([package, SHARED])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["hex"] = lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb)
    return environment.get_template("page.html.jinja")
