"""The lip model of several people that the package has, which a person's own lip model corrects."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.media.torch_file import save_torch

WEIGHTS = Path(__file__).with_name("general_lips.pt")
"""Weights in half precision, by `benchmarks/train_general_lips.py`."""


def general_lip_models(config: AudioToLipsConfig, speech_kind: str) -> LipModels | None:
    """The package's lip model, or None if it does not fit.

    Args:
        config: options of the person's model; one with other `inputs` does not fit.
        speech_kind: kind of the audio feature (`FeatureKind`); a model of another feature does not fit.
    """
    stored = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    if (stored["speech_kind"], stored["inputs"]) != (speech_kind, config.inputs):
        return None
    models = LipModels(config, stored["num_inputs"])
    models.load_state_dict({name: _convert(values, torch.float32) for name, values in stored["weights"].items()})
    return models.eval()


def save_general_lip_models(models: LipModels, speech_kind: str, path: Path) -> None:
    """Writes the file that `general_lip_models` reads."""
    content = {
        "speech_kind": speech_kind,
        "inputs": models.config.inputs,
        "num_inputs": len(models.predictor.feature_mean),
        "weights": {name: _convert(values, torch.float16) for name, values in models.state_dict().items()},
    }
    save_torch(content, path)


def _convert(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype) if values.is_floating_point() else values
