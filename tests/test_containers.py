"""The Dockerfiles fit the repository: files, constraints, extras, command, port. Docker itself is not run."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from pathlib import Path

import pytest

from dfa_nerfstudio.app.app_config import AppConfig
from docs.command_lines import check_line

ROOT = Path(__file__).parents[1]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions and their arguments, without comments, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments(path: Path, instruction: str) -> list[str]:
    """The arguments of all instructions of one kind."""
    return [rest for name, rest in instructions(path) if name == instruction]


def project_table(name: str) -> str:
    """The text of a table of pyproject.toml; Python 3.10 has no reader for it."""
    return (ROOT / "pyproject.toml").read_text().partition(f"[project.{name}]")[2].partition("\n[")[0]


def test_there_are_two() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.cpu", "Dockerfile.cuda"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_instructions_are_known(self, path: Path) -> None:
        known = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "CMD"}
        assert {name for name, _ in instructions(path)} <= known

    def test_what_is_copied_exists_and_is_not_ignored(self, path: Path) -> None:
        rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        for rest in arguments(path, "COPY"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                last = [rule for rule in rules if fnmatch.fnmatch(source, rule.removeprefix("!"))][-1]
                assert last.startswith("!"), source

    def test_the_package_is_copied_whole(self, path: Path) -> None:
        copied = {source for rest in arguments(path, "COPY") for source in rest.split()[:-1]}
        folders = re.findall(r'^"dfa_nerfstudio\.\w+" = "(\w+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert len(folders) == 2 and {"dfa_nerfstudio", "pyproject.toml", "README.md", "LICENSE", *folders} <= copied

    def test_every_installation_is_constrained(self, path: Path) -> None:
        commands = [part.strip() for rest in arguments(path, "RUN") for part in rest.split("&&")]
        installations = [command for command in commands if command.startswith("pip install")]
        assert len(installations) == 3 and all("--constraint constraints.txt" in line for line in installations)
        assert commands.count("pip check") == 1
        (package,) = re.findall(r'"\.\[([\w,]+)\]"', " ".join(installations))
        assert set(package.split(",")) <= set(re.findall(r"^(\w+) = \[", project_table("optional-dependencies"), re.M))

    def test_the_headless_opencv_goes_on_top_as_in_the_makefile(self, path: Path) -> None:
        (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "--force-reinstall" in line]
        wanted = set(shlex.split(line.partition(" pip install ")[2])) - {"--quiet"}
        (command,) = [part for rest in arguments(path, "RUN") for part in rest.split("&&") if "--force" in part]
        assert set(shlex.split(command)) - {"pip", "install"} == wanted

    def test_the_command_exists_and_takes_its_options(self, path: Path) -> None:
        (text,) = arguments(path, "CMD")
        command = json.loads(text)
        assert f"\n{command[0]} = " in project_table("scripts")
        check_line(shlex.join(command))
        assert arguments(path, "EXPOSE") == [str(AppConfig.port)]
        (volume,) = arguments(path, "VOLUME")
        assert command[command.index("--library") + 1] == volume

    def test_it_does_not_run_as_root(self, path: Path) -> None:
        names = [name for name, _ in instructions(path)]
        (user,) = arguments(path, "USER")
        assert user not in ("0", "root") and "RUN" not in names[names.index("USER") :]
        assert any(f"--uid {user} " in rest for rest in arguments(path, "RUN"))


def test_the_page_shows_the_same_port_and_volume() -> None:
    page = (ROOT / "docs/containers.md").read_text()
    for path in DOCKERFILES:
        assert f"--file docker/{path.name} --tag dfa-nerfstudio:{path.suffix[1:]} ." in page
    assert f"127.0.0.1:{AppConfig.port}:{AppConfig.port}" in page and "people:/people" in page
