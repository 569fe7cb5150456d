"""LPIPS, the learned perceptual distance, with weights that the user has."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import alexnet

from dfa_nerfstudio.errors import UserError

_TAPS = (1, 4, 7, 9, 11)
"""AlexNet's layers whose output is compared: the five ReLU."""
_SMALLEST = 64
"""Pixels to which smaller pictures are enlarged: AlexNet divides by 16 and more."""


class Lpips(nn.Module):
    """Zhang et al. 2018, version 0.1 on AlexNet: how differently two pictures look, 0 for the same.

    AlexNet's weights are the user's, as torchvision publishes them (`alexnet-owt-7be5be79.pth`); the five small linear
    layers on top lie in torchmetrics.

    Raises:
        UserError: if the file does not hold AlexNet's weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        network = alexnet()
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:
            raise UserError(
                f"{weights}: not torchvision's AlexNet weights ({str(error).splitlines()[0]}); LPIPS takes the file "
                "alexnet-owt-7be5be79.pth"
            ) from None
        self.layers = network.features.requires_grad_(False)
        heads = torch.load(
            str(files("torchmetrics") / "functional/image/lpips_models/alex.pth"), map_location="cpu", weights_only=True
        )
        self.heads = nn.ParameterList(
            nn.Parameter(heads[f"lin{number}.model.1.weight"], requires_grad=False) for number in range(len(_TAPS))
        )
        # ImageNet's mean and spread, for pictures in [-1, 1]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def forward(self, picture: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """Of pictures in [0, 1]; has gradients. Less than 64 pixels wide or high, they are enlarged."""
        both = torch.cat([picture, truth]) * 2 - 1
        smaller = min(both.shape[-2:])
        if smaller < _SMALLEST:
            both = F.interpolate(both, scale_factor=_SMALLEST / smaller, mode="bilinear")
        hidden, total = (both - self.shift) / self.scale, both.new_zeros(len(picture))
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if number in _TAPS:
                mine, theirs = F.normalize(hidden, dim=1, eps=1e-8).chunk(2)
                head = self.heads[_TAPS.index(number)]
                total = total + F.conv2d((mine - theirs).square(), head).mean((1, 2, 3))
        return total
