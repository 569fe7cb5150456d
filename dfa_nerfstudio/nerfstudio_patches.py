"""Changes to nerfstudio 1.1.5 and to torch, each with its reason; nothing else in this package patches anything.

Importing this module changes nothing. `TalkingHeadPipeline` calls `apply_patches` before it builds anything, which is
before nerfstudio opens a checkpoint or exports.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
import torch

from dfa_nerfstudio.errors import UserError, exit_on_user_error


def apply_patches() -> None:
    """Applies all patches; further calls change nothing."""
    _allow_numpy_scalars_in_checkpoints()
    _refuse_geometry_export()


def _allow_numpy_scalars_in_checkpoints() -> None:
    """Lets torch >= 2.6 open nerfstudio's checkpoints.

    Since torch 2.6 `torch.load` unpickles only what it knows, and the state of nerfstudio's schedulers holds numpy
    scalars. numpy 2 renamed the module of their constructor. Both names are registered, so that a checkpoint written
    under one numpy opens under the other.
    """
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)},
    ]
    torch.serialization.add_safe_globals(allowed)


def _refuse_geometry_export() -> None:
    """Makes `ns-export pointcloud`, `poisson` and `tsdf` end with one clear line.

    nerfstudio 1.1.5 would look for a pixel sampler and normals that this method does not have, and end in a
    traceback. `ns-export cameras` works and stays as it is.
    """
    exporter = sys.modules.get("nerfstudio.scripts.exporter")
    if exporter is None:
        return

    def refuse(*_: Any, **__: Any) -> NoReturn:
        with exit_on_user_error():
            raise UserError(
                "ns-export: a talking head has another shape in every frame, so there is no single mesh or point "
                "cloud to export; render it with dfa-talk or ns-render"
            )
        raise AssertionError  # exit_on_user_error has ended the program

    exporter.validate_pipeline = refuse  # pyright: ignore[reportAttributeAccessIssue]
    exporter.tsdf_utils.export_tsdf_mesh = refuse
