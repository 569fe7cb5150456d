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

from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.face.head_pose import is_rigid
from dfa_nerfstudio.media.npz import check_arrays, load_npz, save_npz
from dfa_nerfstudio.media.rates import FRAME_RATE

TRACK_VERSION = 1
"""Version of the file format; files without a version are of the first one."""
LIP_FEATURE = "lips"
"""Name of the feature f_m."""
MIN_FPS, MAX_FPS = 1.0, 1000.0
"""Range of the frame rates of a track that is read."""
_ATTRIBUTES = ("head_to_camera", "torso_motion", "eye", "mouth")
"""Fields of `AttributeTrack` with one row per frame."""


@dataclass(frozen=True)
class FeatureKind:
    """Identity of a feature, which prevents a renderer from being driven by a feature it was not trained on."""

    name: str
    """Name of the feature, for example `synchronised-audio` or `eye-blink`."""
    version: int
    """Version of the feature's computation, increased whenever the same weights would give other values."""
    fingerprint: str
    """Hash of the weights that computed the feature; empty for a feature without weights."""

    def __post_init__(self) -> None:
        if [type(value) for value in vars(self).values()] != [str, int, str]:
            raise TypeError(f"{self} is no kind of a feature")

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

        Interpolates by cubic convolution (Catmull-Rom), because the speed of a linear interpolation jumps at each
        frame; rotations are projected back to SO(3).

        Args:
            times: times of any shape, which is flattened in the result; clamped to [0, 1].
        """
        last = len(self) - 1
        position = times.reshape(-1).double().clamp(0, 1) * last
        nearest = position.round()  # float32 times are slightly off whole frames, and a whole frame needs no SVD
        position = torch.where((position - nearest).abs() < 0.01, nearest, position)
        below = position.floor().long()
        s = position - below
        frames = (below[:, None] + torch.arange(-1, 3, device=below.device)).clamp(0, last)
        weights = [s * (-1 + s * (2 - s)), 2 + s * s * (3 * s - 5), s * (1 + s * (4 - 3 * s)), s * s * (s - 1)]
        weights = (torch.stack(weights, -1) / 2).to(self.mouth.dtype)
        track = self._map(lambda values: torch.einsum("nk,nk...->n...", weights, values[frames]))
        if (s > 0).any():
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
        parts = {name: torch.cat([getattr(chunk, name) for chunk in (first, *others)]) for name in _ATTRIBUTES}
        return replace(first, **parts)

    def to(self, device: torch.device | str) -> AttributeTrack:
        """The track on another device."""
        return self._map(lambda values: values.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> AttributeTrack:
        """The track with a function applied to every attribute."""
        return replace(self, **{name: change(getattr(self, name)) for name in _ATTRIBUTES})

    def save(self, path: Path) -> None:
        """Writes the `.npz` atomically."""
        kinds = json.dumps({"eye": asdict(self.eye_kind), "mouth": asdict(self.mouth_kind)})
        arrays = {name: getattr(self, name).cpu().numpy() for name in _ATTRIBUTES}
        header = {"version": np.int64(TRACK_VERSION), "fps": np.float64(self.fps), "kinds": np.array(kinds)}
        save_npz(path, {**header, **arrays})

    @classmethod
    def load(cls, path: Path) -> AttributeTrack:
        """Reads a track.

        Raises:
            UserError: if the file is missing, truncated, not a track, or of another version, or a value has another
                type or is out of range.
        """
        arrays, advice = load_npz(path), "run dfa-attributes again"
        version = arrays.pop("version", np.int64(TRACK_VERSION))
        check_format_version(path, version.item() if version.size == 1 else None, TRACK_VERSION, advice)
        try:
            kinds = json.loads(str(arrays["kinds"]))
            parts = {name: torch.from_numpy(arrays[name]) for name in _ATTRIBUTES}
            check_arrays(path, parts, cls, advice)
            track = cls(
                **{name: values.float() for name, values in parts.items()},
                eye_kind=FeatureKind(**kinds["eye"]),
                mouth_kind=FeatureKind(**kinds["mouth"]),
                fps=float(arrays["fps"]),
            )
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path}: not an attribute track ({brief(error)}); {advice}") from None
        if not MIN_FPS <= track.fps <= MAX_FPS:
            raise UserError(f"{path}: {track.fps} frames/s, which is out of range; {advice}")
        if not is_rigid(track.head_to_camera.double().numpy()).all():
            raise UserError(f"{path}: head_to_camera of a frame is no rotation and translation; {advice}")
        return track
