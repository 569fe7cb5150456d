"""What is installed: every package and data file, in an environment of its own, and the licences of what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import av
import pytest

from docs.licences import EXCEPTIONS, is_gpl, runtime_packages
from tests.pipeline_fixture import PipelineRun

ROOT = Path(__file__).parents[1]
SOURCES = {"dfa_nerfstudio": "", "preprocessing": "dfa_nerfstudio/", "method_configs": "dfa_nerfstudio/"}
"""Folders of the packages, and where a wheel has them."""
LIST_METHODS = """
import sys
from nerfstudio.scripts.train import entrypoint
sys.argv = ["ns-train", "-h"]
try:
    entrypoint()
finally:
    print(sys.modules["dfa_nerfstudio"].__file__, sorted({"plyfile", "pymeshlab"} & sys.modules.keys()))
"""


def test_every_package_is_installed():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {
        ".".join([name, *path.parent.relative_to(ROOT / folder).parts])
        for name, folder in {"dfa_nerfstudio": "dfa_nerfstudio", **told["package-dir"]}.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(told["packages"]) == there


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources without what earlier builds have left."""
    pytest.importorskip("setuptools", minversion="77", reason="make install brings it")
    tree = tmp_path_factory.mktemp("wheel") / "tree"

    def unwanted(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or os.path.islink(f"{folder}/{name}")]

    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-c", "from setuptools import build_meta as b; b.build_wheel('dist')"]
    built = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next((tree / "dist").glob("*.whl"))


def test_the_wheel_has_all_files_and_no_others(wheel: Path) -> None:
    expected = {
        f"{inside}{path.relative_to(ROOT)}"
        for name, inside in SOURCES.items()
        for path in (ROOT / name).rglob("*")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of a new environment with the wheel, which sees the packages that it needs in this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    binaries = folder / "bin"
    (site,) = folder.glob("lib/python*/site-packages")
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    python = str(binaries / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)], check=True)
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # last on the path
    return binaries


def run_in(environment: Path, folder: Path, *command: str | Path) -> str:
    """Standard output of a command of the environment."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [environment / command[0], *map(str, command[1:])], cwd=folder, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_an_installed_wheel_lists_the_methods(environment: Path, tmp_path: Path) -> None:
    output = run_in(environment, tmp_path, "python", "-c", LIST_METHODS)
    for method in ("dfa-nerf", "dfa-nerf-lite", "dfa-nerf-paper"):
        assert re.search(rf"\b{method}\b(?!-)", output)
    place, _, imported = output.strip().splitlines()[-1].partition(" ")
    assert Path(place).is_relative_to(environment.parent), "another installation was tested"
    assert imported == "[]", "a package under the GPL is imported"


def test_an_installed_wheel_renders_the_demo(environment: Path, demo: PipelineRun, tmp_path: Path) -> None:
    run = ("--load-config", demo.config, "--audio", demo.speech, "--end", "0.8", "--output", "talking.mp4")
    run_in(environment, tmp_path, "dfa-talk", *run)
    with av.open(str(tmp_path / "talking.mp4")) as video:
        assert video.streams.video[0].frames == 20


def test_the_licences_of_all_needed_packages_are_listed() -> None:
    page = (ROOT / "docs/licences.md").read_text()
    rows = dict(re.findall(r"^\| \[?([a-z0-9-]+)(?:\]\(.*?\))? \| [^|]+ \| (.+) \|$", page, re.MULTILINE))
    missing = {name for name in runtime_packages() if name not in rows and not name.startswith(("nvidia-", "cuda-"))}
    assert not missing, "run: make licences"
    assert {name for name, licence in rows.items() if is_gpl(licence)} == set(EXCEPTIONS)
    assert [is_gpl(text) for text in ("GPL3", "LGPL-2.1", "MIT OR GPL-2.0-or-later", "AGPL-3.0")] == [1, 0, 0, 1]
    assert metadata.metadata("dfa-nerfstudio")["License-Expression"] == "Apache-2.0"
