"""Audio features that a field can be conditioned on in the place of f_a (the paper's Table 5), and their registry.

A feature turns audio that arrives in chunks into one row for each video frame. Training reads a whole clip as one
chunk, driving reads new audio as it arrives; the same code serves both. To add a feature, write a class with the
members of `AudioFeature` and register it. No other file changes: `dfa-data --audio-features NAME` trains on it, and
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
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import sliding_windows
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME

SYNCHRONIZED = "f_a"
"""Option value for the synchronised audio feature f_a, which the attribute models compute; not in the registry."""
ENTRY_POINTS = "dfa_nerfstudio.audio_features"
"""Entry point group of further packages; each entry is a module that registers its features when it is imported."""
MFCC_WINDOW = 16
"""Number of MFCC rows around a frame, 160 ms."""
NUM_STATIC_MFCC = 13
"""Number of MFCC coefficients without their deltas."""
MAX_MISSING_ROWS = 5
"""Number of frames by which a feature file may be shorter or longer than the video: extractors round their windows
differently."""


@dataclass
class AudioSource:
    """Audio as features read it; each stream is read at most once."""

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
"""Registered features by name; `find_audio_feature` looks in further packages too."""

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
    """The feature that the option `audio_features` names.

    Args:
        option: a registered name, or the path of a `.npy` file.

    Raises:
        UserError: if it is neither.
    """
    _load_entry_points()
    feature = AUDIO_FEATURES.get(option)
    if feature is not None and not feature.NEEDS_FILE:
        return feature()
    if not Path(option).is_file():
        names = ", ".join([SYNCHRONIZED, *(name for name, known in AUDIO_FEATURES.items() if not known.NEEDS_FILE)])
        raise UserError(f"`audio_features={option}`: no such file; give a .npy file or one of {names}")
    return FileFeature(Path(option))


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


def with_audio_feature(track: AttributeTrack, feature: AudioFeature, source: AudioSource) -> AttributeTrack:
    """A track of T frames with another feature in the place of f_a.

    Raises:
        UserError: if the feature cannot be computed or read.
    """
    rows = torch.cat(list(feature.stream(replace(source, num_frames=len(track)))))
    if len(rows) != len(track):
        raise UserError(f"{feature.NAME}: {len(rows)} rows for {len(track)} frames; a row for each frame is needed")
    return replace(track, audio=rows, audio_kind=feature.kind)


@register_audio_feature
class MfccFeature:
    """The normalised static MFCC around the start of each frame; the recording's first and last rows are repeated."""

    NAME: ClassVar[str] = "mfcc"
    NEEDS_FILE: ClassVar[bool] = False
    kind = FeatureKind(NAME, 1, f"{MFCC_WINDOW}x{NUM_STATIC_MFCC}")

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 16*13"]]:
        statics = (rows[:, :NUM_STATIC_MFCC] for rows in source.mfcc)
        for windows in sliding_windows(statics, MFCC_WINDOW // 2, MFCC_WINDOW, MFCC_PER_FRAME):
            yield windows.transpose(1, 2).flatten(1)


@register_audio_feature
class FileFeature:
    """A row for each frame from a file, such as the AD-NeRF family's DeepSpeech, wav2vec or HuBERT features."""

    NAME: ClassVar[str] = "file"
    NEEDS_FILE: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: `.npy` [N, ...] with one row for each frame at 25 frames/s; further dimensions are flattened.

        Raises:
            UserError: if it is missing, no such array, or holds numbers that are not finite.
        """
        self.path = path
        values = _read_array(path)
        self.rows = torch.from_numpy(values.reshape(len(values), -1).astype(np.float32))
        self.kind = FeatureKind(self.NAME, 1, "x".join(map(str, values.shape[1:])) or "1")

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "1 A"]]:
        """The rows; a file up to `MAX_MISSING_ROWS` rows too short is padded with its last row, a longer one is cut.

        Raises:
            UserError: if the file is of another length than the audio.
        """
        num_frames = len(self.rows) if source.num_frames is None else source.num_frames
        if abs(len(self.rows) - num_frames) > MAX_MISSING_ROWS:
            rate = FRAME_RATE * len(self.rows) / num_frames
            raise UserError(
                f"{self.path}: {len(self.rows)} rows for {num_frames} frames ({rate:.1f} a second, if it is the same "
                f"audio); one row a frame is needed, {FRAME_RATE:.0f} a second"
            )
        padded = torch.cat([self.rows, self.rows[-1:].expand(MAX_MISSING_ROWS, -1)])
        yield from padded[:num_frames].split(1)


def _read_array(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError):
        raise UserError(f"{path}: not a readable .npy file; save the features with numpy.save") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu" or values.ndim < 1 or not values.size:
        raise UserError(f"{path}: holds no array of numbers; a row for each frame is needed")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise UserError(f"{path}: row {row} holds numbers that are not finite; make the features again")
    return values
