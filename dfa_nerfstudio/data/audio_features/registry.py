"""Audio features that lips are predicted from, or that condition the field itself (Table 5), and their registry.

A feature turns audio that arrives in chunks into one row for each video frame. Training reads a whole clip as one
chunk, driving reads new audio as it arrives; the same code serves both. To add a feature, write a class with the
members of `AudioFeature` and register it. No other file changes: `dfa-attributes --models.lips.features NAME` predicts
lips from it, `dfa-data --mouth NAME` conditions the field on it, and
`dfa-talk` computes it for new audio, because the checkpoint records its kind. A package of your own registers it by the
entry point group `dfa_nerfstudio.audio_features`, which names the module.

Example: the loudness of each frame, in dB.

    @register_audio_feature
    class Loudness:
        NAME, NEEDS_FILE = "loudness", False
        kind = FeatureKind(NAME, 1, "1")

        def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 1"]]:
            chunks = (torch.from_numpy(chunk) for chunk in source.audio)
            samples = int(SAMPLE_RATE / FRAME_RATE)
            for windows in sliding_windows(chunks, 0, samples, samples):
                yield 10 * windows.square().mean(-1, keepdim=True).clamp(min=1e-10).log10()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.errors import UserError

LIPS, SYNCHRONIZED = "lips", "f_a"
"""Options that are not in the registry, because the attribute models compute them: lips f_m, and the synchronised audio
feature f_a."""
ENTRY_POINTS = "dfa_nerfstudio.audio_features"
"""Entry point group of further packages; each entry is a module that registers its features when it is imported."""


@dataclass
class AudioSource:
    """Audio as features read it. Each stream can be read once, and reading starts before the feature's first row."""

    audio: Iterable[Float32[np.ndarray, " S"]]
    """Samples at 16 kHz, mono, in chunks of any length."""
    mfcc: Iterable[Float[Tensor, "R D"]]
    """MFCC rows, normalised by the recording's statistics, `MFCC_PER_FRAME` for each frame, in chunks of any length."""
    num_frames: int | None = None
    """Number of video frames at 25 frames/s, T; None where it is not known beforehand."""


class AudioFeature(Protocol):
    """Computes one feature vector for each video frame."""

    NAME: ClassVar[str]
    """Value of the option `audio_features`, and `FeatureKind.name`."""
    NEEDS_FILE: ClassVar[bool]
    """Whether the feature is read from a file of its own for each recording; the class is then constructed with its
    path, else without arguments."""

    @property
    def kind(self) -> FeatureKind:
        """The kind that tracks and checkpoints record; another fingerprint for every other set of numbers."""
        ...

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n A"]]:
        """Feature rows of the next frames, as soon as they are known; T rows in all.

        Raises:
            UserError: if the audio or the file cannot be used.
        """
        ...


AUDIO_FEATURES: dict[str, type[Any]] = {}
"""Registered features by name; further packages add theirs by entry point."""

F = TypeVar("F", bound=type)


def register_audio_feature(feature: F) -> F:
    """Class decorator that registers an `AudioFeature` under its name."""
    AUDIO_FEATURES[feature.NAME] = feature
    return feature


@cache
def _load_entry_points() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()


def audio_feature_from_option(option: str) -> AudioFeature:
    """The feature that an option names.

    Args:
        option: a registered name, the path of a `.npy` file, or the folder of a Whisper model.

    Raises:
        UserError: if it is neither.
    """
    _load_entry_points()
    feature = AUDIO_FEATURES.get(option)
    if feature is not None and not feature.NEEDS_FILE:
        return feature()
    if (Path(option) / "model.bin").is_file():
        return AUDIO_FEATURES["whisper"](Path(option))
    if not Path(option).is_file():
        registered = [name for name, known in AUDIO_FEATURES.items() if not known.NEEDS_FILE]
        names = ", ".join([LIPS, SYNCHRONIZED, *registered])
        raise UserError(f"`mouth={option}`: no such file; give a .npy file or one of {names}")
    return AUDIO_FEATURES["file"](Path(option))


def registered_audio_feature(kind: FeatureKind) -> type[Any]:
    """The class that computes features of a kind.

    Raises:
        UserError: if none is registered.
    """
    _load_entry_points()
    feature = AUDIO_FEATURES.get(kind.name)
    if feature is None:
        raise UserError(f"the checkpoint was trained on {kind}, which no installed package computes")
    return feature


def audio_feature_for_driving(kind: FeatureKind, path: Path | None) -> AudioFeature:
    """The feature that computes, for new audio, what a renderer was trained on.

    Args:
        kind: kind of the renderer's audio feature.
        path: file with the new audio's features, where the renderer was trained on a file.

    Raises:
        UserError: if the feature is not registered, the file is missing or superfluous, or of another kind.
    """
    feature = registered_audio_feature(kind)
    if feature.NEEDS_FILE and path is None:
        raise UserError(f"the checkpoint was trained on {kind}: give this audio's features with `audio_features`")
    if not feature.NEEDS_FILE:
        refuse_feature_file(kind, path)
    result = feature(path) if feature.NEEDS_FILE else feature()
    if result.kind != kind:
        raise UserError(f"{path or kind.name}: contains {result.kind}, but the checkpoint was trained on {kind}")
    return result


def refuse_feature_file(kind: FeatureKind, path: Path | None) -> None:
    """Refuses a feature file for a renderer that computes its audio feature itself.

    Raises:
        UserError: if there is a path.
    """
    if path is not None:
        raise UserError(f"the checkpoint was trained on {kind}: leave out `audio_features`")
