"""Writing files that `torch.load` reads."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from dfa_nerfstudio.atomic_write import atomic_write


def save_torch(content: object, path: Path) -> None:
    """Writes an object to a file, atomically.

    It is serialised in memory first, because torch reports a full disk as an error of its file format.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as partial:
        partial.write_bytes(buffer.getbuffer())
