"""Lets torch >= 2.6 open nerfstudio's checkpoints.

Since then `torch.load` unpickles nothing it does not know, and nerfstudio's schedulers leave numpy scalars in the
checkpoint. numpy 2 renamed the module of their constructor, so both names are registered: a checkpoint written under
one numpy opens under the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

_scalar = np.float64(0).__reduce__()[0]
_safe: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)},
]
torch.serialization.add_safe_globals(_safe)
