"""The attribute track: a talking head's attributes over time, looked up by time.

A track comes from the training video, from its held-out part, or from generation for new audio; rendering does not
depend on which.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.media.rates import FRAME_RATE

TRACK_VERSION = 1
"""Version of the file format; files without a version are of the first one."""
LIP_FEATURE = "lips"
"""Name of the feature f_m."""


@dataclass(frozen=True)
class FeatureKind:
    """Identity of a feature, which prevents a renderer from being driven by a feature it was not trained on."""

    name: str
    """Name of the feature, for example `synchronised-audio` or `eye-blink`."""
    version: int
    """Version of the feature's computation, increased whenever the same weights would give other values."""
    fingerprint: str
    """Hash of the weights that computed the feature; empty for a feature without weights."""

    def __str__(self) -> str:
        return f"{self.name} v{self.version} {self.fingerprint}".strip()


@dataclass
class AttributeTrack:
    """Attributes of a person in T frames.

    Example:
        >>> track = AttributeTrack.load(Path("data/me/track.npz"))  # doctest: +SKIP
        >>> track.at(torch.tensor([0.0, 0.5, 1.0])).mouth.shape  # doctest: +SKIP
        torch.Size([3, 10])
    """

    head_to_camera: Float[Tensor, "T 4 4"]
    """Head pose: transform from head space to camera space (see `dataset_folder` for the axes)."""
    torso_motion: Float[Tensor, "T 4"]
    """Torso motion, as in `ClipAttributes.torso_motion`."""
    eye: Float[Tensor, "T E"]
    """Eye-blink embedding f_e."""
    mouth: Float[Tensor, "T M"]
    """Condition of the mouth: lips f_m; or f_a, or another audio feature, in their place."""
    eye_kind: FeatureKind
    mouth_kind: FeatureKind
    fps: float = FRAME_RATE
    """Frames per second."""

    def __post_init__(self) -> None:
        counts = {len(self.head_to_camera), len(self.torso_motion), len(self.eye), len(self.mouth)}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(f"all attributes of a track must have the same number of frames, got {sorted(counts)}")

    def __len__(self) -> int:
        return len(self.head_to_camera)

    @property
    def duration(self) -> float:
        """Duration in seconds; each frame is displayed for 1 / fps."""
        return len(self) / self.fps

    def at(self, times: Float[Tensor, "*batch"]) -> AttributeTrack:
        """Returns the attributes at `times` in [0, 1]: 0 is the first frame, 1 the last, as in nerfstudio's `Cameras`.

        Interpolates linearly between the two nearest frames; rotations are projected back to SO(3).

        Args:
            times: times of any shape, which is flattened in the result; clamped to [0, 1].
        """
        position = times.reshape(-1).double().clamp(0, 1) * (len(self) - 1)
        nearest = position.round()  # float32 times are slightly off whole frames, and a whole frame needs no SVD
        position = torch.where((position - nearest).abs() < 0.01, nearest, position)
        below = position.floor().long().clamp(0, max(len(self) - 2, 0))
        above = (below + 1).clamp(max=len(self) - 1)
        weight = (position - below).to(self.mouth.dtype)

        def interpolate(values: Tensor) -> Tensor:
            weights = weight.reshape(-1, *[1] * (values.ndim - 1))
            return torch.lerp(values[below], values[above], weights)

        track = self._map(interpolate)
        if (weight.remainder(1.0) > 0).any():
            u, _, vh = torch.linalg.svd(track.head_to_camera[:, :3, :3])
            track.head_to_camera[:, :3, :3] = u @ vh
        return track

    def __getitem__(self, frames: slice | Int[Tensor, " N"]) -> AttributeTrack:
        """A segment of the track, or the frames with the given numbers."""
        return self._map(lambda values: values[frames])

    @classmethod
    def join(cls, chunks: Iterable[AttributeTrack]) -> AttributeTrack:
        """Concatenates chunks of one track."""
        first, *others = chunks
        names = ("head_to_camera", "torso_motion", "eye", "mouth")
        parts = {name: torch.cat([getattr(chunk, name) for chunk in (first, *others)]) for name in names}
        return replace(first, **parts)

    def to(self, device: torch.device | str) -> AttributeTrack:
        """The track on another device."""
        return self._map(lambda values: values.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> AttributeTrack:
        """The track with a function applied to every attribute."""
        return replace(
            self,
            head_to_camera=change(self.head_to_camera),
            torso_motion=change(self.torso_motion),
            eye=change(self.eye),
            mouth=change(self.mouth),
        )

    def save(self, path: Path) -> None:
        """Writes the `.npz` atomically."""
        kinds = json.dumps({"eye": asdict(self.eye_kind), "mouth": asdict(self.mouth_kind)})
        with atomic_write(path) as partial:
            np.savez(
                partial,
                head_to_camera=self.head_to_camera.cpu().numpy(),
                torso_motion=self.torso_motion.cpu().numpy(),
                eye=self.eye.cpu().numpy(),
                mouth=self.mouth.cpu().numpy(),
                fps=np.float64(self.fps),
                kinds=np.array(kinds),
                version=np.int64(TRACK_VERSION),
            )

    @classmethod
    def load(cls, path: Path) -> AttributeTrack:
        """Reads a track.

        Raises:
            UserError: if the file is missing, truncated, not a track, or of another version.
        """
        arrays = load_npz(path)
        version = arrays.pop("version", np.int64(TRACK_VERSION))
        check_format_version(
            path, version.item() if version.size == 1 else None, TRACK_VERSION, "run dfa-attributes again"
        )
        try:
            kinds = json.loads(str(arrays["kinds"]))
            names = ("head_to_camera", "torso_motion", "eye", "mouth")
            pose, torso, eye, mouth = parts = [torch.from_numpy(arrays[name]).float() for name in names]
            eye_kind, mouth_kind = FeatureKind(**kinds["eye"]), FeatureKind(**kinds["mouth"])
            track = cls(pose, torso, eye, mouth, eye_kind, mouth_kind, float(arrays["fps"]))
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not an attribute track ({error}); run dfa-attributes again") from None
        if not all(torch.isfinite(part).all() for part in parts):
            raise UserError(f"{path}: holds numbers that are not finite; run dfa-attributes again")
        return track
