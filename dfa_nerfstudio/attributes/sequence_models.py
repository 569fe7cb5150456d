"""Sequence models of the encoders and decoders of section 3.4: a Transformer, and the alternatives of Table 4."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Architecture = Literal["transformer", "lstm", "mlp"]


def sequence_model(architecture: Architecture, width: int, layers: int, heads: int, dropout: float) -> nn.Module:
    """Builds a model from tokens [N, T, W] to tokens [N, T, W], for any number T of them.

    Args:
        architecture: the Transformer attends to all tokens, the LSTM is bidirectional, and the perceptron processes
            each token independently.
        width: width W of the tokens.
        layers: number of layers.
        heads: number of attention heads of the Transformer; divides W.
        dropout: dropout rate within the layers.
    """
    if architecture == "transformer":
        return SequenceTransformer(width, layers, heads, dropout)
    if architecture == "lstm":
        return SequenceLSTM(width, layers, dropout)
    return SequenceMLP(width, layers, dropout)


def sinusoidal_positions(length: int, width: int, device: torch.device) -> Float[Tensor, "T W"]:
    """Computes sinusoidal position encodings, which are defined for any length."""
    time = torch.arange(length, device=device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    return torch.cat([torch.sin(time * rate), torch.cos(time * rate)], -1)


class SequenceTransformer(nn.Module):
    """Self-attention over all tokens; the caller adds position encodings."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, tokens: Float[Tensor, "N T W"]) -> Float[Tensor, "N T W"]:
        return self.layers(tokens)


class SequenceLSTM(nn.Module):
    """A bidirectional LSTM, each direction half as wide."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.LSTM(
            width, width // 2, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0, bidirectional=True
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Float[Tensor, "N T W"]) -> Float[Tensor, "N T W"]:
        return self.norm(self.layers(tokens)[0])


class SequenceMLP(nn.Module):
    """Residual layers on each token independently."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(2 * width, width),
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Float[Tensor, "N T W"]) -> Float[Tensor, "N T W"]:
        for layer in self.layers:
            tokens = tokens + layer(tokens)
        return self.norm(tokens)
