"""What is refused when weights are loaded: nerfstudio would quietly load a foreign checkpoint in part."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError

KINDS = "feature_kinds"
"""The buffer of a checkpoint that says which features the model was trained on."""


def feature_kinds(track: AttributeTrack) -> UInt8[Tensor, "128"]:
    """A track's kinds of features as numbers that a checkpoint can hold."""
    kinds = f"{track.audio_kind}; {track.eye_kind}".encode()
    return torch.tensor(list(kinds.ljust(128)[:128]), dtype=torch.uint8)


def check_state(state: Mapping[str, Tensor], kinds: UInt8[Tensor, "128"], folder: Path) -> None:
    """Looks at a checkpoint before it is loaded.

    Args:
        state: of the model.
        kinds: of the dataset folder's features.
        folder: the dataset folder.

    Raises:
        UserError: if it is for `ns-export`, of other features, or holds numbers that are not finite.
    """
    if Path(sys.argv[0]).name == "ns-export" and "cameras" not in sys.argv[1:2]:
        raise UserError(
            "ns-export: a talking head has another shape in every frame, so there is no mesh and no cloud of points of "
            "it; render it with dfa-talk or ns-render"
        )
    theirs = state.get(KINDS)
    if theirs is None or not torch.equal(theirs.cpu(), kinds.cpu()):
        found = "none" if theirs is None else _said(theirs)
        raise UserError(
            f"checkpoint: trained on the features [{found}], but the dataset folder {folder} has [{_said(kinds)}]; "
            "train again or restore that folder's track.npz"
        )
    for name, values in state.items():
        if not torch.isfinite(values).all():
            raise UserError(f"checkpoint: {name} holds numbers that are not finite; take an earlier one or train again")


def _said(kinds: UInt8[Tensor, "128"]) -> str:
    return bytes(kinds.tolist()).decode(errors="replace").strip()
