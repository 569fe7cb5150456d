"""Compiled functions on disk belong to all files of compiled functions, not to their own file alone."""

import importlib.util
from pathlib import Path

import pytest

from dfa_nerfstudio.nerf.kernels import numba_parts

SOURCE = """
from dfa_nerfstudio.nerf.kernels.numba_parts import compiled


@compiled
def double(number):
    return 2 * number
"""


def test_functions_are_compiled_again_when_any_source_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "functions.py"
    file.write_text(SOURCE)

    def compilations() -> int:
        spec = importlib.util.spec_from_file_location("functions", file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.double(21) == 42
        return sum(module.double.stats.cache_misses.values())

    assert [compilations(), compilations()] == [1, 0]
    monkeypatch.setattr(numba_parts, "SOURCES", (("numba_vectors.py", 1, 2.0),))
    assert [compilations(), compilations()] == [1, 0]
