"""Reading `.npz` files with clear errors."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from dfa_nerfstudio.errors import UserError


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file by name.

    Raises:
        UserError: if the file is missing, unreadable or truncated.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: unreadable or truncated ({error}); make it again") from None
