"""Composites the rendered person over a background."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ImageColor
from torch import Tensor

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.images import read_bgr

TRANSPARENT = "transparent"


class BackgroundCompositor:
    """Composites renderings over the source video's background, an image, a colour, or nothing.

    Args:
        background: None for the source video's background; `transparent`, a CSS colour, or the path of an image, whose
            centre is cropped to the frame's aspect ratio.
        size: width and height of the frames in pixels.

    Raises:
        UserError: if `background` is none of them.
    """

    def __init__(self, background: str | None, size: tuple[int, int]) -> None:
        self.transparent, self.image = background == TRANSPARENT, None
        if background is not None and not self.transparent:
            self.image = _background_image(background, size) / 255

    def composite(self, outputs: dict[str, Tensor]) -> UInt8[np.ndarray, "H W C"]:
        """Returns the frame: RGB, or RGBA with straight alpha if the background is transparent.

        Args:
            outputs: of `Renderer.get_outputs_for_camera`: `rgb`, `foreground` and `accumulation`.
        """
        if self.transparent:
            opacity = outputs["accumulation"].clamp(0, 1)
            image = torch.cat([outputs["foreground"] / opacity.clamp(min=1e-3), opacity], dim=-1)
        elif self.image is not None:
            self.image = self.image.to(outputs["foreground"])
            image = outputs["foreground"] + (1 - outputs["accumulation"]) * self.image
        else:
            image = outputs["rgb"]
        return (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _background_image(background: str, size: tuple[int, int]) -> Float[Tensor, "H W 3"]:
    """Reads an image or a colour as RGB in [0, 255]."""
    width, height = size
    path = Path(background)
    if path.is_file():
        image = read_bgr(path)
        scale = max(width / image.shape[1], height / image.shape[0])
        # rounded up, so that neither side is shorter than the frame's
        resized = np.ceil(np.array(image.shape[1::-1]) * scale - 1e-6).astype(int)
        image = cv2.resize(image, resized.tolist(), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        left, top = (image.shape[1] - width) // 2, (image.shape[0] - height) // 2
        cropped = image[top : top + height, left : left + width, ::-1]
        return torch.from_numpy(np.ascontiguousarray(cropped)).float()
    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise UserError(
            f"`background={background}`: neither an image file nor a colour; give a file, transparent, or a colour "
            "such as white or #20a0ff"
        ) from None
    return torch.tensor(colour, dtype=torch.float).expand(height, width, 3)
