"""Progress bars and durations of the processing stages."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.reporting.progress import report_progress


class ProgressReporter:
    """Shows a progress bar per stage and records the duration of each stage in the report."""

    def __init__(self, console: Console, report: ProcessReport) -> None:
        self.report = report
        columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Progress(*columns, console=console)

    def with_report(self, report: ProcessReport) -> ProgressReporter:
        """Returns a reporter with the same progress bars that records in another report."""
        reporter = copy.copy(self)
        reporter.report = report
        return reporter

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Times a stage; yields a function that advances its bar by a number of steps, and reports it."""
        task = self.bars.add_task(name, total=total)
        start = time.perf_counter()

        def advance(steps: int) -> None:
            self.bars.advance(task, steps)
            report_progress(name, self.bars.tasks[task].completed / total if total else None)

        report_progress(name, 0.0 if total else None)
        yield advance
        completed = self.bars.tasks[task].completed or 1
        self.bars.update(task, total=completed, completed=completed)
        self.report.stage_seconds[name] = round(time.perf_counter() - start, 2)
