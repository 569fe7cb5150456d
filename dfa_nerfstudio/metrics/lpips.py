"""LPIPS, the learned perceptual distance, with AlexNet weights that the user provides."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.errors import UserError

_COMPARED_LAYERS = (1, 4, 7, 9, 11)
"""AlexNet's layers whose output is compared: the five ReLU."""
_MIN_SIDE = 64
"""Side in pixels to which smaller images are enlarged, because AlexNet downsamples by more than 16."""


class Lpips(nn.Module):
    """LPIPS (Zhang et al. 2018), version 0.1 on AlexNet: 0 for equal images.

    The user provides AlexNet's weights as torchvision publishes them (`alexnet-owt-7be5be79.pth`); the five linear
    layers on top come from torchmetrics.

    Args:
        weights: file with AlexNet's weights.

    Raises:
        UserError: if the file does not contain AlexNet's weights.
    """

    shift: Tensor
    """Mean of ImageNet's channels, for images in [-1, 1]."""
    scale: Tensor
    """Standard deviation of ImageNet's channels, for images in [-1, 1]."""

    def __init__(self, weights: Path) -> None:
        from torchvision.models import alexnet  # takes seconds, and not every training needs it

        super().__init__()
        network = alexnet()
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:
            raise UserError(
                f"{weights}: not torchvision's AlexNet weights ({str(error).splitlines()[0]}); LPIPS needs the file "
                "alexnet-owt-7be5be79.pth"
            ) from None
        self.layers = network.features.requires_grad_(False)
        heads = torch.load(
            str(files("torchmetrics") / "functional/image/lpips_models/alex.pth"), map_location="cpu", weights_only=True
        )
        self.heads = nn.ParameterList(
            nn.Parameter(heads[f"lin{number}.model.1.weight"], requires_grad=False)
            for number in range(len(_COMPARED_LAYERS))
        )
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def forward(self, image: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """The distance of each pair of images in [0, 1], differentiable; images below 64 pixels are enlarged."""
        both = torch.cat([image, truth]) * 2 - 1
        side = min(both.shape[-2:])
        if side < _MIN_SIDE:
            both = F.interpolate(both, scale_factor=_MIN_SIDE / side, mode="bilinear")
        hidden, total = (both - self.shift) / self.scale, both.new_zeros(len(image))
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if number in _COMPARED_LAYERS:
                features, true_features = F.normalize(hidden, dim=1, eps=1e-8).chunk(2)
                head = self.heads[_COMPARED_LAYERS.index(number)]
                total = total + F.conv2d((features - true_features).square(), head).mean((1, 2, 3))
        return total
