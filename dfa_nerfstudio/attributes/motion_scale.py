"""How far motion strays from what is foretold, by how lively it has just been."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

LIMIT = 1.5
"""Of the logarithm of liveliness, from the usual one: what is calmer or livelier counts like that."""


class Liveliness(nn.Module):
    """Of each latent channel: spread = usual spread * (liveliness / usual liveliness)^share.

    Liveliness is the root mean square change from frame to frame over the beginning of pose. Calm heads stay calm: of
    people, about two thirds of it lasts (share), of the moments of one film a third.
    """

    spread: Tensor
    share: Tensor
    usual: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(channels))
        self.register_buffer("share", torch.zeros(channels))
        self.register_buffer("usual", torch.zeros(channels))

    def forward(self, beginning: Float[Tensor, "N Z tau"]) -> Float[Tensor, "N Z"]:
        """The spread after a beginning of pose."""
        return self.spread * torch.exp(self.share * self._lively(beginning))

    @torch.no_grad()
    def learn(
        self,
        beginning: Float[Tensor, "N Z tau"],
        strays: Float[Tensor, "N Z T"],
        root: Float[Tensor, "Z T S"],
    ) -> None:
        """Fits the shares by least squares of logarithms, then the usual spread to the mean square.

        Args:
            beginning: latent beginnings of pose.
            strays: how far what followed was from what is foretold.
            root: samples of the Gaussian process over these frames are root @ noise: its spread is 1. Velocities are
                compared, for it is by its velocity that the next window tells how lively a generated head is.
        """
        self.usual = torch.zeros_like(self.usual)
        self.usual = self._lively(beginning, limit=torch.inf).mean(0)
        strayed = strays.diff(dim=-1).square().mean(-1) / root.diff(dim=1).square().sum(-1).mean(1)  # [N, Z]
        lively, log_strayed = self._lively(beginning), strayed.clamp(min=1e-12).log() / 2
        gap = lively - lively.mean(0)
        self.share = ((gap * log_strayed).sum(0) / gap.square().sum(0).clamp(min=1e-6)).clamp(0, 1)
        self.spread = (strayed / torch.exp(2 * self.share * lively)).mean(0).sqrt()

    def _lively(self, beginning: Float[Tensor, "N Z tau"], limit: float = LIMIT) -> Float[Tensor, "N Z"]:
        change = beginning.diff(dim=-1).square().mean(-1).clamp(min=1e-10)
        return (change.log() / 2 - self.usual).clamp(-limit, limit)
