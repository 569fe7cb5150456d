"""Progress bars and timings of the stages."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dfa_nerfstudio.preprocessing.report.process_report import Report


class Stages:
    """Shows the stages as they go and notes in the report how long they took."""

    def __init__(self, console: Console, report: Report) -> None:
        self.report = report
        columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console)

    def of_scene(self, report: Report) -> Stages:
        """The same bars for another report."""
        stages = copy.copy(self)
        stages.report = report
        return stages

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Times a stage; yields a function to call with the number of steps that are done."""
        task = self.progress.add_task(name, total=total)
        start = time.perf_counter()
        yield lambda steps: self.progress.advance(task, steps)
        done = self.progress.tasks[task].completed or 1
        self.progress.update(task, total=done, completed=done)
        self.report.seconds[name] = round(time.perf_counter() - start, 2)
