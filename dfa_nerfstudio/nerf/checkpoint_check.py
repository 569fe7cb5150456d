"""Checks a checkpoint before its weights are loaded.

nerfstudio loads a checkpoint that does not fit in part, without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.data.format_version import check_format_version
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerfstudio_patches import allow_numpy_scalars_in_checkpoints

CHECKPOINT_VERSION = 1
"""Version of the checkpoints; those without a version are of the first one."""
MODEL, EXTRA = "_model.", "_extra_state"
"""Prefix of the model's weights, and name of the pipeline's other state, in a checkpoint."""
FEATURE_KINDS = "feature_kinds"
"""Name of the model's buffer that records the features it was trained on."""


def feature_kinds(track: AttributeTrack) -> UInt8[Tensor, "128"]:
    """The kinds of a track's features, as bytes of a string, because a checkpoint holds nothing but numbers."""
    kinds = f"{track.mouth_kind}; {track.eye_kind}".encode()
    return torch.tensor(list(kinds.ljust(128)[:128]), dtype=torch.uint8)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Opens a checkpoint of ns-train, whose tensors stay on the disk until they are used. Nothing in it is executed.

    Raises:
        UserError: if it is missing, or not a checkpoint.
    """
    allow_numpy_scalars_in_checkpoints()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a checkpoint of ns-train") from None
    except Exception:  # for a file of another kind, the unpickler raises errors of any class, with long texts or none
        raise UserError(f"{path}: unreadable checkpoint; restore the file or train again") from None
    keys = {"step", "pipeline", "optimizers", "scalers"}
    if not isinstance(state, dict) or not keys <= state.keys() or not isinstance(state["pipeline"], dict):
        raise UserError(f"{path}: not a checkpoint of ns-train; give one of RUN/nerfstudio_models")
    return state


def newest_readable_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of a folder that can be read; says which ones cannot.

    Raises:
        UserError: if there is none.
    """
    paths = sorted(folder.glob("step-*.ckpt"), reverse=True)
    for path in paths:
        try:
            read_checkpoint(path)
        except UserError as error:
            CONSOLE.print(str(error), markup=False)
            continue
        if path != paths[0]:
            CONSOLE.print(f"{path}: used instead", markup=False)
        return path
    if paths:
        raise UserError(f"{paths[0]}: unreadable checkpoint; restore the file or train again")
    raise UserError(f"{folder}: no checkpoint; run ns-train for longer")


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Opens a checkpoint (see `read_checkpoint`) and checks all of it that can be checked without its model.

    Raises:
        UserError: if it is missing, not a checkpoint, of a newer version of this program, or holds numbers that are not
            finite.
    """
    state = read_checkpoint(path)
    check_version(state["pipeline"], path)
    require_finite(
        {name: state[name] for name in ("pipeline", "optimizers")}, path, "use an earlier one or train again"
    )
    return state


def check_version(pipeline: Mapping[str, Any], source: Path | str = "checkpoint") -> None:
    """Checks the version in a pipeline's state dict.

    Raises:
        UserError: if it is another one.
    """
    extra = pipeline.get(EXTRA)
    version = extra.get("version", CHECKPOINT_VERSION) if isinstance(extra, dict) else CHECKPOINT_VERSION
    check_format_version(source, version, CHECKPOINT_VERSION, "train again")


def model_state(pipeline: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns the model's state dict within a pipeline's."""
    return {name.removeprefix(MODEL): values for name, values in pipeline.items() if name.startswith(MODEL)}


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
    require_finite(state, "checkpoint", "use an earlier one or train again")


def _decode(kinds: UInt8[Tensor, "128"]) -> str:
    return bytes(kinds.tolist()).decode(errors="replace").strip()
