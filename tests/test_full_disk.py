"""A full disk ends every command with one line that names the place, exit code 2, no traceback, nothing half-written.

Every user may limit the size of files; a disk of its own is mounted only where the test may do so.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.atomic_write import FullDiskError, atomic_folder
from dfa_nerfstudio.media.audio import write_wav
from dfa_nerfstudio.media.npz import save_npz
from dfa_nerfstudio.media.torch_file import save_torch
from tests.pipeline_fixture import PipelineRun, run
from tests.test_bad_input import EVAL, PROCESS, TALK, contents

TRAIN = "ns-train dfa-nerf-lite --data {data} --vis tensorboard --max-num-iterations 2 --output-dir {out}"
LARGE_FILES: list[tuple[str, int, str]] = [
    (PROCESS, 100_000, "{out}"),  # its audio does not fit
    ("dfa-attributes {copy} --step-multiplier 0.001 --no-progress", 1_000_000, "{copy}/attribute_models.pt"),
    (TRAIN, 1_000_000, "nerfstudio_models/step-000000001.ckpt"),
    (f"{TALK} --end 0.4", 2_000, "{out}.mp4"),
    (f"{EVAL} --protocols full", 50_000, "{tmp}"),  # the rendered frames
    ("dfa-demo driving-audio --output {out}.wav", 10_000, "{out}.wav"),
    ("dfa-demo make-clip --output {out}.mp4 --seconds 2 --size 64", 2_000, "{out}.mp4"),
]
"""Commands, the largest size of a file in bytes, and the place that the line names."""


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets files grow to a size and no further, as on a full disk. Every user may set this limit."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_writers_end_in_one_error(tmp_path: Path) -> None:
    """Among them no traceback of a file that the interpreter closes when nobody uses it any more."""
    values = np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32)
    writers: dict[str, Callable[[Path], None]] = {
        "track.npz": lambda path: save_npz(path, {"values": values, "others": values}),
        "truth.npz": lambda path: save_npz(path, {"values": values}, compress=True),
        "models.pt": lambda path: save_torch({"values": torch.from_numpy(values)}, path),
        "audio.wav": lambda path: write_wav(path, values),
    }
    for name, write in writers.items():
        with largest_file(10_000), pytest.raises(FullDiskError, match=f"{name}: cannot be written"):
            write(tmp_path / name)
        gc.collect()
        assert not list(tmp_path.iterdir())


def full_disk_faults(line: str, result: subprocess.CompletedProcess[str], place: str) -> list[str]:
    """What is wrong about the end of a command for whose output there was no room at a place."""
    errors = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    expected = f"{place}: cannot be written ("
    if result.returncode != 2 or len(errors) != 1 or expected not in errors[0] or "Traceback" in result.stderr:
        return [f"{line}\n    {result.returncode}: {errors or result.stderr[-1500:]}; expected: {expected}"]
    return []


def test_a_full_disk_ends_in_one_line(demo: PipelineRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {name: getattr(demo, name) for name in ("clip", "config", "data", "speech")}
    places |= {"copy": tmp_path / "copy", "tmp": tmp_path / "tmp"}
    shutil.copytree(demo.data, places["copy"])
    places["tmp"].mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places["tmp"]))
    before, wrong = contents(demo.data, demo.config.parent, places["copy"]), list[str]()
    for number, (line, size, words) in enumerate(LARGE_FILES):
        output = tmp_path / f"out{number}"
        with largest_file(size):
            result = run(*(part.format(**places, out=output) for part in line.split()))
        place = words.format(**places, out=output)
        wrong += full_disk_faults(line, result, place)
        left = [path for path in tmp_path.rglob("*") if ".partial" in path.name or path.suffix in (".lock", ".ckpt")]
        if left or (place.startswith(str(output)) and Path(place).exists()):
            wrong.append(f"{line}\n    left {left or place}")
    assert not wrong, "\n".join(wrong)
    assert contents(demo.data, demo.config.parent, places["copy"]) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_mount_point_keeps_its_place(small_disk: Path) -> None:
    (small_disk / "old").mkdir()
    with atomic_folder(small_disk, last="end") as folder:
        (folder / "end").write_text("complete")
    assert [path.name for path in small_disk.iterdir()] == ["end"] and small_disk.is_mount()


def test_a_disk_that_fills_up_is_as_empty_as_before(demo: PipelineRun, small_disk: Path) -> None:
    places, wrong = {name: getattr(demo, name) for name in ("clip", "config", "data", "speech")}, list[str]()
    for number, (line, words) in enumerate(((PROCESS, "{out}"), (TRAIN, ".ckpt"), (TALK, "{out}.mp4"))):
        output, filler = small_disk / f"out{number}", small_disk / "filler"
        if line == TALK:
            filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 20_000))
        used = shutil.disk_usage(small_disk).used
        result = run(*(part.format(**places, out=output) for part in line.split()))
        wrong += full_disk_faults(line, result, words.format(out=output))
        if line != TRAIN and shutil.disk_usage(small_disk).used > used:
            wrong.append(f"{line}\n    left {[*small_disk.rglob('*')]}")
        shutil.rmtree(output, ignore_errors=True)
    assert not wrong, "\n".join(wrong)
