"""The attribute track: what a talking head does over time, looked up by time.

A track comes from the training video, from its held-out part or from generation for new audio; whoever renders it
cannot tell which.
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
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import load_npz


@dataclass(frozen=True)
class FeatureKind:
    """What a feature is, so that a renderer trained on one is never fed another."""

    name: str
    """For example `synchronised-audio` or `eye-blink`."""
    version: int
    """Raised whenever the same weights would give other numbers."""
    fingerprint: str
    """Hash of the weights that made the feature; empty for one that has none."""

    def __str__(self) -> str:
        return f"{self.name} v{self.version} {self.fingerprint}".strip()


@dataclass
class AttributeTrack:
    """T frames of a person's attributes.

    Example:
        >>> track = AttributeTrack.load(Path("data/me/track.npz"))  # doctest: +SKIP
        >>> track.at(torch.tensor([0.0, 0.5, 1.0])).audio.shape  # doctest: +SKIP
        torch.Size([3, 64])
    """

    head_to_camera: Float[Tensor, "T 4 4"]
    """Head pose (see `dataset_folder` for the axes)."""
    torso_motion: Float[Tensor, "T 4"]
    """Torso motion, as in `ClipAttributes.torso_motion`."""
    eye: Float[Tensor, "T E"]
    """Eye-blink embedding f_e."""
    audio: Float[Tensor, "T A"]
    """Synchronised audio feature f_a."""
    eye_kind: FeatureKind
    audio_kind: FeatureKind
    fps: float = 25.0

    def __post_init__(self) -> None:
        counts = {len(self.head_to_camera), len(self.torso_motion), len(self.eye), len(self.audio)}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(f"an attribute track needs equally many frames of everything, got {sorted(counts)}")

    def __len__(self) -> int:
        return len(self.head_to_camera)

    @property
    def duration(self) -> float:
        """In seconds; each frame is shown for 1 / fps."""
        return len(self) / self.fps

    def at(self, times: Float[Tensor, "*batch"]) -> AttributeTrack:
        """The attributes at `times` in [0, 1]: 0 is the first frame, 1 the last, as nerfstudio's `Cameras.times`.

        Interpolates linearly between the two nearest frames; rotations are projected back to SO(3).

        Args:
            times: any shape; flattened in the result, clamped to [0, 1].
        """
        position = times.reshape(-1).double().clamp(0, 1) * (len(self) - 1)
        whole = position.round()  # float32 times miss whole frames by a little, and a whole frame needs no SVD
        position = torch.where((position - whole).abs() < 0.01, whole, position)
        below = position.floor().long().clamp(0, max(len(self) - 2, 0))
        above = (below + 1).clamp(max=len(self) - 1)
        weight = (position - below).to(self.audio.dtype)

        def mix(values: Tensor) -> Tensor:
            blend = weight.reshape(-1, *[1] * (values.ndim - 1))
            return torch.lerp(values[below], values[above], blend)

        mixed = self._map(mix)
        if (weight.remainder(1.0) > 0).any():
            u, _, vh = torch.linalg.svd(mixed.head_to_camera[:, :3, :3])
            mixed.head_to_camera[:, :3, :3] = u @ vh
        return mixed

    def __getitem__(self, frames: slice | Int[Tensor, " N"]) -> AttributeTrack:
        """A stretch of the track, or chosen frames of it."""
        return self._map(lambda values: values[frames])

    @classmethod
    def join(cls, pieces: Iterable[AttributeTrack]) -> AttributeTrack:
        """Pieces of one track, one after the other."""
        first, *others = pieces
        names = ("head_to_camera", "torso_motion", "eye", "audio")
        parts = {name: torch.cat([getattr(piece, name) for piece in (first, *others)]) for name in names}
        return replace(first, **parts)

    def to(self, device: torch.device | str) -> AttributeTrack:
        """The track on another device."""
        return self._map(lambda values: values.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> AttributeTrack:
        """The track with every attribute changed."""
        return replace(
            self,
            head_to_camera=change(self.head_to_camera),
            torso_motion=change(self.torso_motion),
            eye=change(self.eye),
            audio=change(self.audio),
        )

    def save(self, path: Path) -> None:
        """Writes the `.npz`, whole or not at all."""
        kinds = json.dumps({"eye": asdict(self.eye_kind), "audio": asdict(self.audio_kind)})
        with atomic_write(path) as partial:
            np.savez(
                partial,
                head_to_camera=self.head_to_camera.cpu().numpy(),
                torso_motion=self.torso_motion.cpu().numpy(),
                eye=self.eye.cpu().numpy(),
                audio=self.audio.cpu().numpy(),
                fps=np.float64(self.fps),
                kinds=np.array(kinds),
            )

    @classmethod
    def load(cls, path: Path) -> AttributeTrack:
        """Reads a track.

        Raises:
            UserError: if it is missing, truncated or not a track.
        """
        arrays = load_npz(path)
        try:
            kinds = json.loads(str(arrays["kinds"]))
            names = ("head_to_camera", "torso_motion", "eye", "audio")
            pose, torso, eye, audio = parts = [torch.from_numpy(arrays[name]).float() for name in names]
            eye_kind, audio_kind = FeatureKind(**kinds["eye"]), FeatureKind(**kinds["audio"])
            track = cls(pose, torso, eye, audio, eye_kind, audio_kind, float(arrays["fps"]))
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not an attribute track ({error}); run dfa-attributes again") from None
        if not all(torch.isfinite(part).all() for part in parts):
            raise UserError(f"{path}: holds numbers that are not finite; run dfa-attributes again")
        return track
