"""Imports go one way: the contracts of import-linter in pyproject.toml hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_rooms_import_only_from_floors_below(tmp_path: Path):
    """Checked on a copy that is laid out as it is installed, because import-linter does not follow `package-dir`."""
    package = tmp_path / "dfa_nerfstudio"
    only_code = shutil.ignore_patterns("*.npz", "*.flac", "*.pt", "__pycache__")
    shutil.copytree(ROOT / "dfa_nerfstudio", package, ignore=only_code)
    for room in ("preprocessing", "method_configs"):
        shutil.copytree(ROOT / room, package / room, ignore=only_code)
    command = [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 kept, 0 broken" in result.stdout
