"""What setuptools is told: a forgotten package works in a checkout and is missing from every wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_installed():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for name, folder in {"dfa_nerfstudio": "dfa_nerfstudio", **told["package-dir"]}.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(told["packages"]) == there
