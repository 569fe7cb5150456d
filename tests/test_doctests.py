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


def _runs_examples(path: Path) -> bool:
    """Whether any example of a module is not skipped: some need a dataset folder or a video."""
    return any(">>> " in line and "doctest: +SKIP" not in line for line in path.read_text().splitlines())


@pytest.mark.parametrize("name", sorted(_module_name(path) for path in SOURCES if _runs_examples(path)))
def test_examples_of(name: str):
    result = doctest.testmod(import_module(name))
    assert result.failed == 0 and result.attempted > 0
