"""Checks a checkpoint before its weights are loaded.

nerfstudio loads a checkpoint that does not fit in part, without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError

FEATURE_KINDS = "feature_kinds"
"""Name of the model's buffer that records the features it was trained on."""


def feature_kinds(track: AttributeTrack) -> UInt8[Tensor, "128"]:
    """The kinds of a track's features, as bytes of a string, because a checkpoint holds nothing but numbers."""
    kinds = f"{track.mouth_kind}; {track.eye_kind}".encode()
    return torch.tensor(list(kinds.ljust(128)[:128]), dtype=torch.uint8)


def check_state(state: Mapping[str, Tensor], kinds: UInt8[Tensor, "128"], folder: Path) -> None:
    """Checks that a checkpoint belongs to a dataset folder and is finite.

    Args:
        state: the model's state dict in the checkpoint.
        kinds: kinds of the dataset folder's features (`feature_kinds`).
        folder: the dataset folder.

    Raises:
        UserError: if the model was trained on other features, or a tensor holds numbers that are not finite.
    """
    theirs = state.get(FEATURE_KINDS)
    if theirs is None or not torch.equal(theirs.cpu(), kinds.cpu()):
        found = "none" if theirs is None else _decode(theirs)
        raise UserError(
            f"checkpoint: trained on the features [{found}], but the dataset folder {folder} has [{_decode(kinds)}]; "
            "train again or restore that folder's track.npz"
        )
    for name, values in state.items():
        if not torch.isfinite(values).all():
            raise UserError(f"checkpoint: {name} holds numbers that are not finite; use an earlier one or train again")


def _decode(kinds: UInt8[Tensor, "128"]) -> str:
    return bytes(kinds.tolist()).decode(errors="replace").strip()
