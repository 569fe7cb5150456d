"""Refuses numbers that are not finite, by the name of the array that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dfa_nerfstudio.errors import UserError


def require_finite(arrays: object, source: Path | str, remedy: str) -> None:
    """Checks arrays, weights for example.

    Args:
        arrays: tensors and arrays, in mappings and sequences of any depth; other values count as finite.
        source: what they belong to, a file for example.
        remedy: what to do.

    Raises:
        UserError: if one holds NaN or an infinite number.

    Example:
        >>> require_finite({"weights": {"bias": torch.tensor([0.0, float("nan")])}}, "me.pt", "make it again")
        Traceback (most recent call last):
        ...
        dfa_nerfstudio.errors.UserError: me.pt: weights.bias holds numbers that are not finite; make it again
    """
    if names := not_finite(arrays):
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise UserError(f"{source}: {names[0]}{others} holds numbers that are not finite; {remedy}")


def not_finite(arrays: object) -> list[str]:
    """Names of the arrays that hold NaN or infinite numbers, such as `weights.bias`."""
    return [name for name, is_finite in _leaves(arrays, "") if not is_finite]


def _leaves(value: object, name: str) -> Iterator[tuple[str, bool]]:
    """Name of each tensor and array, and whether it is finite."""
    if isinstance(value, Tensor):
        yield name, bool(torch.isfinite(value).all())
    elif isinstance(value, np.ndarray):
        yield name, value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    elif isinstance(value, (Mapping, Sequence)) and not isinstance(value, (str, bytes)):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _leaves(part, f"{name}.{key}".lstrip("."))
