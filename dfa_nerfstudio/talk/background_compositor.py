"""What is seen behind the person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import ImageColor
from torch import Tensor

from dfa_nerfstudio.errors import UserError

TRANSPARENT = "transparent"


class Backdrop:
    """The film's own background, an image, a colour, or nothing.

    Args:
        wanted: None for the film's own; `transparent`, a colour that browsers know, or the path of an image, of which
            the middle is shown in the picture's shape.
        size: width and height of the pictures.

    Raises:
        UserError: for what is none of them.
    """

    def __init__(self, wanted: str | None, size: tuple[int, int]) -> None:
        self.transparent, self.image = wanted == TRANSPARENT, None
        if wanted is not None and not self.transparent:
            self.image = _image(wanted, size) / 255

    def picture(self, outputs: dict[str, Tensor]) -> UInt8[np.ndarray, "H W C"]:
        """RGB, or RGBA where nothing is behind.

        Args:
            outputs: of `DFANerfModel`: `rgb` before the film's background, `person` before black, `accumulation`.
        """
        if self.transparent:
            opacity = outputs["accumulation"].clamp(0, 1)
            seen = torch.cat([outputs["foreground"] / opacity.clamp(min=1e-3), opacity], dim=-1)
        elif self.image is not None:
            self.image = self.image.to(outputs["foreground"])
            seen = outputs["foreground"] + (1 - outputs["accumulation"]) * self.image
        else:
            seen = outputs["rgb"]
        return (seen.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _image(wanted: str, size: tuple[int, int]) -> Float[Tensor, "H W 3"]:
    width, height = size
    path = Path(wanted)
    if path.is_file():
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(f"--background {path}: not a readable image")
        scale = max(width / image.shape[1], height / image.shape[0])
        # how opencv rounds, no side is to come out too short
        grown = np.ceil(np.array(image.shape[1::-1]) * scale - 1e-6).astype(int)
        image = cv2.resize(image, grown.tolist(), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        left, top = (image.shape[1] - width) // 2, (image.shape[0] - height) // 2
        shown = image[top : top + height, left : left + width, ::-1]
        return torch.from_numpy(np.ascontiguousarray(shown)).float()
    try:
        colour = ImageColor.getrgb(wanted)[:3]
    except ValueError:
        raise UserError(
            f"--background {wanted}: no such image, and no colour; give a file, `transparent`, or a colour such as "
            "white or #20a0ff"
        ) from None
    return torch.tensor(colour, dtype=torch.float).expand(height, width, 3)
