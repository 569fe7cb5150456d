"""Parsers of all commands, taken from their own entry points. No command is run.

The pages get their tables of options from here, and the tests check every command line of README and docs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
import shlex
import subprocess
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import tyro

ROOT = Path(__file__).parents[1]
PLACEHOLDER = "..."
"""Stands for arguments that an example leaves out."""
SUBCOMMANDS = {
    "dfa-attributes": ("pretrain", "inspect"),
    "dfa-eval": ("compare", "ablate", "study", "mos"),
    "dfa-demo": ("make-clip", "driving-audio", "summary"),
}
"""Subcommands, each with options of its own."""
METHODS = ("dfa-nerf-lite", "dfa-nerf", "dfa-nerf-paper")
OTHER_PROGRAMS = ("arecord", "cd", "curl", "docker", "ffplay", "git", "ssh", ".")
"""Programs that examples use and that are not checked."""


class InvalidCommandLine(ValueError):
    """A command line that the command's own parser refuses, with the reason."""


class _Reached(BaseException):
    """Raised in the place of parsing: what would be parsed, and with which options of `tyro.cli`."""

    def __init__(self, target: Any, options: dict[str, Any]) -> None:
        super().__init__()
        self.target, self.options = target, options


@dataclass
class Command:
    """A command line as its command would parse it."""

    target: Any
    """Function or type whose arguments are parsed."""
    options: dict[str, Any]
    """Options of `tyro.cli`, the arguments among them."""

    @classmethod
    def of(cls, entry_point: str, name: str, arguments: list[str]) -> Command:
        """Calls an entry point up to the moment at which it parses its arguments.

        Args:
            entry_point: module and function, `package.module:main`.
            name: name of the command.
            arguments: its arguments.
        """
        module, _, function = entry_point.partition(":")
        main = getattr(import_module(module), function)

        def stop(target: Any, *_: Any, **options: Any) -> None:
            raise _Reached(target, {"args": arguments, **options})

        def stop_at_subcommands(commands: dict[str, Any], **options: Any) -> None:
            raise _Reached(commands, {"args": arguments, **options})

        patches = (
            mock.patch.object(sys, "argv", [name, *arguments]),
            mock.patch.object(tyro, "cli", stop),
            mock.patch.object(tyro.extras, "subcommand_cli_from_dict", stop_at_subcommands),
        )
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            try:
                main()
            except _Reached as reached:
                return cls(reached.target, {"prog": name, **reached.options})
        raise InvalidCommandLine(f"{name}: parses no arguments")

    def parse(self) -> None:
        """Parses the arguments, and does nothing with them.

        Raises:
            InvalidCommandLine: if they are refused.
        """
        from dfa_nerfstudio.errors import UserError

        output = io.StringIO()
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                if isinstance(self.target, dict):
                    targets = {name: _without_effect(target) for name, target in self.target.items()}
                    tyro.extras.subcommand_cli_from_dict(targets, **self.options)
                else:
                    tyro.cli(_without_effect(self.target), **self.options)
        except UserError as error:  # a value out of its range
            raise InvalidCommandLine(str(error)) from None
        except SystemExit as error:
            if error.code:
                raise InvalidCommandLine(re.sub(r"[\s─│╭╮╰╯]+", " ", output.getvalue()).strip()) from None

    def parser(self) -> ArgumentParser:
        """The parser as argparse has it."""
        target, options = self.target, {}
        if isinstance(target, dict):
            target = target[self.options["args"][0]]
        if "description" in self.options and inspect.isfunction(target):
            options["description"] = self.options["description"]
        return tyro_parser(_without_effect(target), prog=self.options["prog"], **options)


def tyro_parser(target: Any, **options: Any) -> ArgumentParser:
    """tyro's parser as argparse has it; tyro has declared this function outdated, and offers no other one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return tyro.extras.get_parser(target, **options)


def _without_effect(target: Any) -> Any:
    """A function with the same arguments that does nothing; a type as it is, of which only an object is made."""
    if not inspect.isfunction(target):
        return target

    @functools.wraps(target)
    def nothing(*_: Any, **__: Any) -> None:
        return None

    return nothing


@cache
def console_scripts() -> dict[str, str]:
    """Entry points of the commands of nerfstudio, and of this package as pyproject.toml has them."""
    scripts = {script.name: script.value for script in entry_points(group="console_scripts") if "ns-" in script.name}
    project = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2].partition("\n[")[0]
    return scripts | dict(re.findall(r'^([\w-]+) = "(.+)"', project, re.MULTILINE))


def command(name: str, arguments: list[str]) -> Command:
    """The command of a console script.

    Raises:
        InvalidCommandLine: if there is no such command.
    """
    if name not in console_scripts():
        raise InvalidCommandLine(f"{name}: no such command")
    return Command.of(console_scripts()[name], name, arguments)


def _flags_of(parser: ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings


def _train_flags() -> Iterator[str]:
    """Option strings of `ns-train` for this package's methods, their fields, and its dataparsers."""
    from dfa_nerfstudio import method_configs
    from dfa_nerfstudio.adnerf.adnerf_data import ADNeRFDataParserConfig
    from dfa_nerfstudio.data.dataparser import DFADataParserConfig

    methods = [getattr(method_configs, name.replace("-", "_")).config for name in METHODS]
    for config in (*methods, DFADataParserConfig(), ADNeRFDataParserConfig()):
        yield from _flags_of(tyro_parser(type(config), default=config))
    for method in methods:  # the field's options belong to a subcommand, which tyro makes when it is asked for
        network = method.pipeline.model.network
        for flag in _flags_of(tyro_parser(type(network), default=network)):
            yield f"--pipeline.model.network.{flag[2:]}"


@cache
def flags(name: str, subcommand: str = "") -> frozenset[str]:
    """All option strings of a command, or of its subcommand; of `ns-train`, those of this package's methods."""
    if name == "ns-train":
        return frozenset(_train_flags())
    return frozenset(_flags_of(command(name, [subcommand] if subcommand else []).parser()))


def all_flags() -> frozenset[str]:
    """The option strings of every command of this package, of `ns-train` and of `ns-eval`."""
    names = [name for name in console_scripts() if name.startswith("dfa-")]
    pairs = [(name, subcommand) for name in names for subcommand in SUBCOMMANDS.get(name, ())]
    pairs += [(name, "") for name in (*names, "ns-train", "ns-eval") if name != "dfa-demo"]
    return frozenset().union(*(flags(*pair) for pair in pairs))


@cache
def benchmark_flags() -> frozenset[str]:
    """The option strings of all benchmarks."""
    from benchmarks.__main__ import BENCHMARKS, ON_REQUEST

    places = [place.split(".") for place in (BENCHMARKS | ON_REQUEST).values()]
    targets = [getattr(import_module(f"benchmarks.{module}"), name) for module, name in places]
    return frozenset(flag for target in targets for flag in _flags_of(tyro_parser(target)))


def split_commands(line: str) -> list[list[str]]:
    """The commands of a shell line: pipelines and sequences apart, without comments, redirections and variables."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    commands: list[list[str]] = [[]]
    tokens = iter(lexer)
    for token in tokens:
        if set(token) <= set("|;&"):
            commands.append([])
        elif set(token) <= set("<>"):
            next(tokens, None)
        elif commands[-1] or not re.fullmatch(r"[A-Z_]+=.*", token):
            commands[-1].append(token)
    return [words for words in commands if words]


def check_line(line: str) -> None:
    """Checks a shell line of an example.

    Raises:
        InvalidCommandLine: if a command, a target, an option or a value does not exist.
    """
    for name, *arguments in split_commands(line):
        _check_words(Path(name).name or name, arguments)


def check_mention(line: str) -> None:
    """Checks a command in running text, which may leave out required arguments and values.

    Raises:
        InvalidCommandLine: if the command or an option does not exist.
    """
    for name, *arguments in split_commands(line):
        try:
            _check_words(name, arguments)
        except InvalidCommandLine as error:
            if name not in console_scripts():
                raise
            subcommand = arguments[0] if arguments and arguments[0] in SUBCOMMANDS.get(name, ()) else ""
            if name == "dfa-demo" and not subcommand and not arguments:
                continue
            used = {word.partition("=")[0] for word in arguments if word.startswith("--")}
            if unknown := used - flags(name, subcommand) - {"--help"}:
                raise InvalidCommandLine(f"{name}: no option {unknown.pop()}") from None
            if not re.search("required|missing|expected|subcommand|argument", str(error), re.IGNORECASE):
                raise


def _check_words(name: str, arguments: list[str]) -> None:
    if name.startswith(("dfa-", "ns-")):
        words = [word for word in arguments if word != PLACEHOLDER]
        if name == "ns-train" and not set(words) & set(METHODS):
            words = [METHODS[1], *words]
        command(name, words).parse()
    elif name == "make":
        _check_make(arguments)
    elif name.startswith("python"):
        _check_python(arguments)
    elif name == "pip":
        _check_pip(arguments)
    elif name not in OTHER_PROGRAMS:
        raise InvalidCommandLine(f"{name}: neither a command of this project nor a known program")


def _check_make(arguments: list[str]) -> None:
    """`make -n` prints what would be run."""
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise InvalidCommandLine(done.stderr.strip())
    variables = dict(word.split("=", 1) for word in arguments if "=" in word)
    known = set(re.findall(r"\$\((\w+)\)", (ROOT / "Makefile").read_text()))
    if unknown := set(variables) - known:
        raise InvalidCommandLine(f"make: the Makefile has no variable {unknown.pop()}")
    if "BENCH" in variables and variables["BENCH"] != "NAME --help":
        _check_benchmark(shlex.split(variables["BENCH"]))


def _check_benchmark(arguments: list[str]) -> None:
    from benchmarks.__main__ import BENCHMARKS, ON_REQUEST

    if arguments[0] not in BENCHMARKS | ON_REQUEST:
        raise InvalidCommandLine(f"no benchmark {arguments[0]}")
    benchmark = Command.of("benchmarks.__main__:main", "benchmarks", arguments)
    benchmark.options["args"] = arguments[1:]  # main has removed the name
    benchmark.parse()


def _check_python(arguments: list[str]) -> None:
    match arguments:
        case ["-m", "benchmarks", *rest]:
            _check_benchmark(rest)
        case ["-m", "venv", *_]:
            pass
        case ["-m", module, *_]:
            if not find_spec(module):
                raise InvalidCommandLine(f"no module {module}")
        case [script, *_]:
            if not (ROOT / script).is_file():
                raise InvalidCommandLine(f"no file {script}")


def _check_pip(arguments: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", project.partition("\n[")[0], re.MULTILINE))
    for names in re.findall(r"(?:dfa-nerfstudio|\.)\[([\w,]+)\]", " ".join(arguments)):
        if unknown := set(names.split(",")) - extras:
            raise InvalidCommandLine(f"no extra {unknown.pop()}")
