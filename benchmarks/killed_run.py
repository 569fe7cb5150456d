"""Runs a command, ends it by a signal, runs it again, and compares its files with those of an undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.file_content import UNREADABLE, Content, folder_content, is_hidden
from benchmarks.record import BIN
from dfa_nerfstudio.errors import INTERRUPTED, UserError

END_S = 15.0
"""Seconds within which an interrupted command must end, and after it the processes that it started."""
TIMEOUT_S = 600.0
"""Seconds after which a command counts as hanging."""
POLL_S = 0.05
MARK = "DFA_KILLS"
"""Environment variable by which the processes of one run are found, whatever group or session they are in."""
SCRATCH = ".tmp"
"""Folder for temporary files, in the working folder."""


@dataclass
class Case:
    """A command with its inputs."""

    command: tuple[str, ...]
    """Name and arguments; paths are relative to the working folder."""
    inputs: tuple[str, ...]
    """Files and folders that are copied to the working folder."""
    older: str = ""
    """Output of another run, which stands there before some runs."""
    resume: Callable[[Path], tuple[str, ...]] = lambda folder: ()
    """Options that the next run in a working folder needs."""
    last: str = ""
    """File that marks its folder as complete; without it, all files of that folder count as absent."""
    growing: tuple[str, ...] = ()
    """Names of files of which a run writes several complete versions."""
    threads: int = 1
    """Number of torch's threads."""
    host: str = ""
    """File that `ns-train` writes before it calls this package; an interrupt before then ends as nerfstudio ends it."""


@dataclass
class Undisturbed:
    """What a command gives when nothing disturbs it."""

    seconds: float
    """Duration."""
    content: dict[str, Content]
    """Content of all files of the working folder, without items that differ between two runs."""
    varying: list[str]
    """Items that differ between two runs, which are not compared."""


@dataclass
class Moment:
    """A run that is ended by a signal, and the problems that it and the next run showed."""

    signal: signal.Signals
    at: float
    """When the signal is sent, seconds after the start."""
    problems: list[str] = field(default_factory=list)
    """Conditions that the run, or the next one, did not meet."""
    end_seconds: float = 0.0
    """Time from the signal to the end of the process."""
    too_early: bool = False
    """Whether the interrupt came before Python, or nerfstudio, called this package."""

    def __str__(self) -> str:
        return f"{self.signal.name} at {self.at:.1f} s"


def run_undisturbed(case: Case, inputs: Path, folder: Path) -> tuple[float, dict[str, Content]]:
    """Runs a command in a new working folder; returns its duration and the content of all files.

    Raises:
        UserError: if it fails, or leaves temporary files.
    """
    _prepare(folder, case, inputs)
    seconds = succeed(folder, case.command, case.threads)
    if left := _leftovers(folder):
        raise UserError(f"{' '.join(case.command)}: leaves {', '.join(left)}")
    return seconds, folder_content(folder)


def compare_runs(*runs: tuple[float, dict[str, Content]]) -> Undisturbed:
    """What two undisturbed runs have in common.

    Raises:
        UserError: if they write different files.
    """
    (seconds, content), (other_seconds, other) = runs
    if content.keys() != other.keys():
        raise UserError(f"two runs write different files: {', '.join(content.keys() ^ other.keys())}")
    same, varying = {}, []
    for name, items in content.items():
        same[name] = {item: value for item, value in items.items() if other[name].get(item) == value}
        varying += [f"{name}:{item}" for item in items.keys() - same[name].keys()]
    return Undisturbed((seconds + other_seconds) / 2, same, sorted(varying))


def end_and_resume(
    case: Case, moment: Moment, inputs: Path, folder: Path, truth: Undisturbed, with_older: bool = False
) -> Moment:
    """Runs a command up to the moment, sends the signal, checks what is there, runs it again, and checks the result."""
    _prepare(folder, case, inputs, with_older)
    before, mark = folder_content(folder), uuid.uuid4().hex
    process, log = _start(folder, case.command, case.threads, mark)
    _wait(process, moment.at)
    finished = process.poll() is not None
    process.send_signal(moment.signal)
    moment.end_seconds = _wait(process, TIMEOUT_S)
    moment.problems += _processes_that_go_on(mark)
    content = folder_content(folder)
    moment.problems += _half_written(content, before, truth, case)
    if not (finished or moment.signal == signal.SIGKILL):
        complete = not _differences(content, truth)
        code, text = process.returncode, log.read_text(errors="replace")
        moment.too_early = (
            case.host not in content if case.host else code != INTERRUPTED and "dfa_nerfstudio" not in text
        )
        if complete or not moment.too_early:
            moment.problems += _end_problems(moment, code, text, complete)
    try:
        succeed(folder, (*case.command, *case.resume(folder)), case.threads)
    except UserError as error:
        moment.problems.append(f"next run: {error}")
        return moment
    ignored = case.growing if case.resume(folder) else ()  # config.yml of a run that was resumed says so
    moment.problems += _differences(folder_content(folder), truth, ignored)
    moment.problems += [f"{name} remains" for name in _leftovers(folder)]
    if not moment.problems:
        shutil.rmtree(folder)
    return moment


def succeed(folder: Path, command: tuple[str, ...], threads: int = 1) -> float:
    """Runs a command in a folder; returns its duration.

    Raises:
        UserError: if it fails.
    """
    process, log = _start(folder, command, threads)
    seconds = _wait(process, TIMEOUT_S)
    if process.returncode:
        output = " ".join(log.read_text(errors="replace").split())[-300:]
        raise UserError(f"{' '.join(command)}: exit code {process.returncode}: {output}")
    return seconds


def _prepare(folder: Path, case: Case, inputs: Path, with_older: bool = False) -> None:
    (folder / SCRATCH).mkdir(parents=True)
    for name in (*case.inputs, *([case.older] if with_older and case.older else [])):
        source, target = inputs / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


def _start(
    folder: Path, command: tuple[str, ...], threads: int = 1, mark: str = ""
) -> tuple[subprocess.Popen[bytes], Path]:
    """Starts a command; its output goes to a log beside the folder."""
    log = folder.with_name(f"{folder.name}.log")
    environment = {
        "TMPDIR": str(folder / SCRATCH),
        "TORCHINDUCTOR_CACHE_DIR": str(folder.parent / "inductor"),  # a cache in TMPDIR that torch keeps
        "OMP_NUM_THREADS": str(threads),
        MARK: mark,
    }
    with log.open("ab") as output:
        line = [str(BIN / command[0]), *command[1:]]
        return subprocess.Popen(
            line, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        ), log


def _wait(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Waits for the end of a process, at most some time; returns the time waited.

    Time in which the machine, or this process, stood still does not count.
    """
    waited, now = 0.0, time.monotonic()
    while process.poll() is None and waited < seconds:
        time.sleep(POLL_S)
        waited, now = waited + min(time.monotonic() - now, 5 * POLL_S), time.monotonic()
    if waited >= TIMEOUT_S:
        process.kill()
    return waited


def _processes_that_go_on(mark: str) -> list[str]:
    """Names the processes of a run that are alive after `END_S`, and ends them."""
    for _ in range(round(END_S / POLL_S)):
        if not _processes(mark):
            return []
        time.sleep(POLL_S)
    numbers = _processes(mark)
    for number in numbers:
        os.kill(number, signal.SIGKILL)
    return [f"process {number} goes on" for number in numbers]


def _end_problems(moment: Moment, code: int, log: str, complete: bool) -> list[str]:
    """What is wrong with how an interrupted process ended; with a complete result, it may end as Python ends it."""
    problems, num_lines = [], log.count("interrupted")
    if moment.end_seconds > END_S:
        problems.append(f"ended after {moment.end_seconds:.0f} s")
    if code not in ((INTERRUPTED, 0, -moment.signal) if complete else (INTERRUPTED,)):
        problems.append(f"exit code {code}")
    if code == INTERRUPTED and num_lines != 1:
        problems.append(f"{num_lines} lines say that it was interrupted")
    if "Traceback" in log or "Exception ignored" in log:
        problems.append(f"traceback: {log.strip().splitlines()[-1]}")
    return problems


def _half_written(content: dict[str, Content], before: dict[str, Content], truth: Undisturbed, case: Case) -> list[str]:
    """Files that are neither what was there before nor what an undisturbed run writes."""
    problems = []
    for name, items in content.items():
        if UNREADABLE in items:
            problems.append(f"{name} is unreadable ({items[UNREADABLE]})")
            continue
        if Path(name).name in case.growing:
            continue
        if case.last and Path(case.last).parent in Path(name).parents and case.last not in content:
            continue
        versions = [version[name] for version in (before, truth.content) if name in version]
        compared = truth.content.get(name, items).keys()
        if versions and not any(all(items.get(item) == version.get(item) for item in compared) for version in versions):
            problems.append(f"{name} is neither the old one nor the new one")
    return problems


def _differences(content: dict[str, Content], truth: Undisturbed, ignored: tuple[str, ...] = ()) -> list[str]:
    """Files that differ from those of an undisturbed run."""
    problems = [f"{name} is missing" for name in truth.content.keys() - content.keys()]
    problems += [f"{name} is there too" for name in content.keys() - truth.content.keys()]
    for name, items in truth.content.items():
        if name not in content or Path(name).name in ignored:
            continue
        differing = [item for item, value in items.items() if content[name].get(item) != value]
        if differing:
            problems.append(f"{name} differs in {len(differing)} of {len(items)} items ({differing[0]})")
    return problems


def _leftovers(folder: Path) -> list[str]:
    """Hidden files and folders, locks included, and what is in the folder for temporary files."""
    names = (path.relative_to(folder) for path in folder.rglob("*"))
    return [str(name) for name in names if is_hidden(name) and name != Path(SCRATCH)]


def _processes(mark: str) -> list[int]:
    """Numbers of the processes of a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found
