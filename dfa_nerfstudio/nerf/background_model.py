"""What is seen behind the person: the film's background as an image that training may mend."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.nerf.coordinate_frames import Rays, Scene


@dataclass
class BackgroundConfig:
    """What training may change about the background."""

    learned: bool = True
    """Mends the image of the dataset folder, which is a guess where the person hardly ever uncovers it."""
    appearance_size: int = 32
    """Pixels along a side of the images that the appearance code adds: what moves slowly behind the person, a screen or
    the light, is then told apart from the person. 0 for none."""


class Background(nn.Module):
    """A plane that fills the film camera's view, at the far end of the scene.

    For rays of the film camera it shows the background's own pixel, whatever the distance; around the plane and behind
    the camera, its mean colour.
    """

    image: Tensor
    plain: Tensor

    def __init__(self, config: BackgroundConfig, image: Float[Tensor, "3 H W"], appearance_dim: int) -> None:
        super().__init__()
        self.register_buffer("image", image, persistent=False)
        self.register_buffer("plain", image.mean((1, 2)), persistent=False)
        self.correction = nn.Parameter(torch.zeros_like(image)) if config.learned else None
        size = config.appearance_size
        self.moving = (
            nn.Parameter(torch.randn(appearance_dim, 3, size, size) * 0.01) if size and appearance_dim else None
        )

    def forward(self, rays: Rays, scene: Scene, appearance: Float[Tensor, "U A"]) -> Float[Tensor, "R 3"]:
        """
        Args:
            rays: of the film's own camera or any other.
            scene: the space that is rendered.
            appearance: code of each of the rays' U frames.
        """
        depth, distance = rays.camera_directions[:, 2], scene.far
        along = (distance - rays.camera_origins[:, 2]) / torch.where(depth.abs() < 1e-9, 1e-9, depth)
        place = (rays.camera_origins + along[:, None] * rays.camera_directions)[:, :2] / (distance * scene.half_extent)
        seen = (place.abs() <= 1).all(-1, keepdim=True) & (along > 0)[:, None]
        where = (place * place.new_tensor([1.0, -1.0]))[None, None]
        image = self.image if self.correction is None else self.image + self.correction
        colour = self._read(image[None], where)[0].t()
        if self.moving is not None:
            moving = self._read(self.moving, where.expand(len(self.moving), -1, -1, -1))  # [A, 3, R]
            colour = colour + torch.einsum("acr,ra->rc", moving, appearance[rays.frame])
        return torch.where(seen, colour, self.plain)

    @staticmethod
    def _read(image: Float[Tensor, "A 3 H W"], where: Float[Tensor, "A 1 R 2"]) -> Float[Tensor, "A 3 R"]:
        return F.grid_sample(image, where, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0]
