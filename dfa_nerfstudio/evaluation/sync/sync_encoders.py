"""The encoders of the sync score, which were trained on other people than those who are scored."""

from __future__ import annotations

from pathlib import Path

from dfa_nerfstudio.attributes.speech_models import SpeechConfig, SpeechModels
from dfa_nerfstudio.attributes.weights_file import StoredModels

ENCODERS = Path(__file__).with_name("encoders.pt")
"""Weights of the package's own encoders, trained on GRID alone: six minutes of one speaker, and a sentence each of
others. `make bench BENCH=sync` trains them and records how often they score the true audio highest."""


class SyncEncoders(SpeechModels, StoredModels):
    """F_d, E_a and the mouth encoder, without the other attribute models."""

    file_format, file_version = "dfa-nerfstudio sync encoders", 1
    config_type = SpeechConfig
    command = "make bench BENCH=sync"
