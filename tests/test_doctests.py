"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("dfa_nerfstudio", "preprocessing", "method_configs")
SOURCES = [path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py")]


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "dfa_nerfstudio" else ("dfa_nerfstudio", *parts)
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("name", sorted(_module_name(path) for path in SOURCES if ">>> " in path.read_text()))
def test_examples_of(name: str):
    result = doctest.testmod(import_module(name))
    assert result.failed == 0 and result.attempted > 0
