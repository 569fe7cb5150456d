"""The background behind the person: the dataset folder's image with a learned correction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds


@dataclass
class BackgroundConfig:
    """What training may change about the background."""

    learned: bool = True
    """Learns a correction to the dataset folder's background image, because that image is a guess where the person
    hardly ever uncovers it."""
    appearance_size: int = 32
    """Side in pixels of the images that are weighted by the appearance code and added to the background; 0 for none.
    They model slow changes behind the person (a screen, the light) that the field would otherwise model."""


class BackgroundModel(nn.Module):
    """A textured plane that fills the video camera's view at the scene's far depth.

    Rays of the video camera get the background's own pixel, whatever that depth is. Rays that miss the plane get the
    background's mean colour.
    """

    image: Tensor
    mean_colour: Tensor

    def __init__(self, config: BackgroundConfig, image: Float[Tensor, "3 H W"], appearance_dim: int) -> None:
        super().__init__()
        self.register_buffer("image", image, persistent=False)
        self.register_buffer("mean_colour", image.mean((1, 2)), persistent=False)
        self.correction = nn.Parameter(torch.zeros_like(image)) if config.learned else None
        size = config.appearance_size
        self.appearance_images = (
            nn.Parameter(torch.randn(appearance_dim, 3, size, size) * 0.01) if size and appearance_dim else None
        )

    def forward(self, rays: Rays, scene: SceneBounds, appearance: Float[Tensor, "U A"]) -> Float[Tensor, "R 3"]:
        """Returns the background's colour for R rays.

        Args:
            rays: rays of the video camera or of any other camera.
            scene: the rendered volume.
            appearance: appearance codes of the rays' U frames.
        """
        depth, far = rays.camera_directions[:, 2], scene.far
        distance = (far - rays.camera_origins[:, 2]) / torch.where(depth.abs() < 1e-9, 1e-9, depth)
        hit = (rays.camera_origins + distance[:, None] * rays.camera_directions)[:, :2] / (far * scene.half_extent)
        on_plane = (hit.abs() <= 1).all(-1, keepdim=True) & (distance > 0)[:, None]
        uv = (hit * hit.new_tensor([1.0, -1.0]))[None, None]
        image = self.image if self.correction is None else self.image + self.correction
        colour = self._sample(image[None], uv)[0].t()
        if self.appearance_images is not None and len(appearance) == 1:  # an image: one lookup instead of one for each
            added = torch.einsum("achw,a->chw", self.appearance_images, appearance[0])
            colour = colour + self._sample(added[None], uv)[0].t()
        elif self.appearance_images is not None:
            added = self._sample(
                self.appearance_images, uv.expand(len(self.appearance_images), -1, -1, -1)
            )  # [A, 3, R]
            colour = colour + torch.einsum("acr,ra->rc", added, appearance[rays.frame])
        return torch.where(on_plane, colour, self.mean_colour)

    @staticmethod
    def _sample(image: Float[Tensor, "A 3 H W"], uv: Float[Tensor, "A 1 R 2"]) -> Float[Tensor, "A 3 R"]:
        return F.grid_sample(image, uv, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0]
