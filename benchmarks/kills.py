"""Ends the commands at random moments, and checks that the next run gives the result of an undisturbed one."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.killed_run import Case, Moment, compare_runs, end_and_resume, run_undisturbed, succeed
from benchmarks.record import Row, console, load_unfinished_record, record_header, write_record
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.errors import UserError

RECORD = "kills_cpu"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CLIP = ClipConfig(seconds=4.0, size=128, yaw=20.0, pitch=12.0, blink_rate=0.5)
RUN = "runs/demo/dfa-nerf-lite/run"
TRAIN = (
    *("ns-train", "dfa-nerf-lite", "--data", "data", "--output-dir", "runs", "--experiment-name", "demo"),
    *("--timestamp", "run", "--vis", "tensorboard", "--max-num-iterations", "150", "--steps-per-save", "40"),
)


def _load_dir(folder: Path) -> tuple[str, ...]:
    checkpoints = f"{RUN}/nerfstudio_models"
    return ("--load-dir", checkpoints) if list((folder / checkpoints).glob("step-*.ckpt")) else ()


CASES = {
    "dfa-process": Case(
        ("dfa-process", "short.mp4", "--output", "data1", "--size", "64", "--overwrite"),
        inputs=("short.mp4",),
        older="data1",
        last="data1/transforms.json",
    ),
    "dfa-attributes": Case(("dfa-attributes", "data1", "--step-multiplier", "0.1"), inputs=("data1",)),
    "dfa-attributes pretrain": Case(
        (
            *("dfa-attributes", "pretrain", "data", "data1", "data2", "--output", "pretrained.pt", "--resume"),
            *("--step-multiplier", "0.1", "--validation", "0.33"),
        ),
        inputs=("data", "data1", "data2"),
    ),
    "ns-train": Case(TRAIN, inputs=("data",), resume=_load_dir, growing=("config.yml",), host=f"{RUN}/config.yml"),
    "dfa-talk": Case(
        (
            *("dfa-talk", "--load-config", f"{RUN}/config.yml", "--audio", "clip.mp4", "--end", "1.5"),
            *("--output", "talking.mp4"),
        ),
        inputs=("data", "runs", "clip.mp4"),
        threads=2,  # frames are rendered in threads
    ),
    "dfa-eval ablate": Case(
        (
            # a training of no time at all ends at its second step, in every run
            *("dfa-eval", "ablate", "data", "--output", "ablations", "--minutes", "1e-9", "--protocols", "full"),
            *("--only", "full model"),
        ),
        inputs=("data",),
        growing=("ablations.html", "ablations.json"),
    ),
}
"""The commands, with small inputs. Trainings end by steps, so that two of them give the same weights."""


@dataclass
class KillBenchmark:
    """Ends each command by SIGINT, SIGTERM and SIGKILL at moments spread over its duration, and runs it again."""

    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    commands: tuple[str, ...] = tuple(CASES)
    """Commands to end."""
    moments: int = 20
    """Number of moments for each command."""
    seed: int = 0
    """Seed of the moments."""
    jobs: int = 2
    """Number of runs at a time."""
    output: Path = Path("outputs/bench/kills")
    """Working folder, which is emptied."""
    inputs: Path | None = None
    """Folder with the inputs of an earlier run, OUTPUT/inputs of that run; by default they are made."""

    def run(self) -> None:
        """Ends and resumes every command; writes the record after each, which keeps other commands of this commit."""
        if unknown := set(self.commands) - set(CASES):
            raise UserError(f"`commands={unknown.pop()}`: no such command; there are {', '.join(CASES)}")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background hands on that it ignores it
        head, tables = load_unfinished_record(RECORD, record_header("cpu"))
        title = f"{self.moments} moments for each command, seed {self.seed}"
        rows = [row for row in tables.get(title, []) if row["command"] not in self.commands]
        output = self.output.resolve()
        inputs = self.inputs.resolve() if self.inputs else output / "inputs"
        if not self.inputs:
            shutil.rmtree(output, ignore_errors=True)
            make_inputs(inputs)
        for name in self.commands:
            folder = output / name.replace(" ", "_")
            shutil.rmtree(folder, ignore_errors=True)
            rows.append(self._row(name, CASES[name], inputs, folder))
            write_record(RECORD, head, {title: rows})

    def _row(self, name: str, case: Case, inputs: Path, folder: Path) -> Row:
        console.rule(name)
        with ThreadPoolExecutor(self.jobs) as pool:
            truth = compare_runs(*pool.map(lambda run: run_undisturbed(case, inputs, folder / run), ("one", "two")))
            console.print(f"{truth.seconds:.1f} s undisturbed")
            moments = list(self._moments(name, truth.seconds))

            def end(part: int) -> Moment:
                place = folder / f"moment_{part:02d}"
                return end_and_resume(case, moments[part], inputs, place, truth, with_older=part % 2 == 1)

            for moment in pool.map(end, range(self.moments)):
                console.print(f"{moment}: {'; '.join(moment.problems) or 'survived'}", soft_wrap=True, markup=False)
        by_signal = {number.name: [moment for moment in moments if moment.signal == number] for number in SIGNALS}
        return {
            "command": name,
            "survived": _survived(moments),
            **{signal_name: _survived(part) for signal_name, part in by_signal.items()},
            "undisturbed_s": round(truth.seconds, 1),
            "longest_end_s": round(max(moment.end_seconds for moment in moments), 1),
            "too_early": sum(moment.too_early for moment in moments),
            "varies": ", ".join(truth.varying),
            "failures": " // ".join(f"{moment}: {'; '.join(moment.problems)}" for moment in moments if moment.problems),
        }

    def _moments(self, name: str, seconds: float) -> Iterator[Moment]:
        """A random moment in each of equal parts of the duration; each signal once in three successive parts."""
        generator = random.Random(f"{self.seed} {name}")
        for part in range(self.moments):
            if part % len(SIGNALS) == 0:
                numbers = generator.sample(SIGNALS, len(SIGNALS))
            yield Moment(numbers[part % len(SIGNALS)], (part + generator.random()) / self.moments * seconds)


def make_inputs(folder: Path) -> None:
    """Makes three dataset folders, the first one with attribute models, and a run, of the demo subject."""
    console.rule("inputs")
    folder.mkdir(parents=True)
    clip = folder / "clip.mp4"
    for seed, data in enumerate(("data", "data1", "data2")):
        make_clip(clip, replace(CLIP, seed=seed))
        succeed(folder, ("dfa-process", clip.name, "--output", data, "--size", "64"))
    make_clip(clip, CLIP)
    make_clip(folder / "short.mp4", replace(CLIP, seconds=2.2))
    succeed(folder, ("dfa-attributes", "data", "--step-multiplier", "0.1"))
    succeed(folder, TRAIN)


def _survived(moments: Sequence[Moment]) -> str:
    return f"{sum(not moment.problems for moment in moments)} / {len(moments)}"
