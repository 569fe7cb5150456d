"""Reading JSON files with clear errors."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from dfa_nerfstudio.errors import UserError, brief


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: the file.
        advice: what to do about a wrong file.

    Raises:
        UserError: if the file is missing or unreadable, or holds no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: missing or damaged ({brief(error)}); {advice}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (holds {reprlib.repr(content)}); {advice}")
    return content


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value of a JSON file is a number from `low` to `high`.

    Example:
        >>> is_number(3, 1, 5), is_number(float("nan"), 1, 5), is_number(True, 0, 1), is_number("3", 1, 5)
        (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def is_integer(value: object, low: int, high: int) -> bool:
    """Whether a value of a JSON file is an integer from `low` to `high`."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
