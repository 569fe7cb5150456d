"""Images embedded in a page, so that it opens from disk as one file."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from jaxtyping import UInt8

JPEG_QUALITY = 82
"""Quality of embedded images, 0 to 100."""


def jpeg_data_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """A data URI of an RGB image, encoded as JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
