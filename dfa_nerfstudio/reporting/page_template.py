"""Templates of the pages that open from disk, with the style and the charts that they share."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

import cv2
import jinja2
import numpy as np
from jaxtyping import UInt8

SHARED = Path(__file__).parent
"""Holds `style.css.jinja` and `charts.html.jinja`."""


@cache
def page_template(package: Path) -> jinja2.Template:
    """The `page.html.jinja` of a package's folder; what it includes may lie there or beside this module."""
    loader = jinja2.FileSystemLoader([package, SHARED])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["hex"] = lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb)
    return environment.get_template("page.html.jinja")


def data_uri(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    """An RGB image as a JPEG within the page."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 82))
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
