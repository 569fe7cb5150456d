"""Processing a folder of videos: isolated failures, resumption, interruption, parallel jobs and Ray."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.jobs import JobsConfig, run_jobs, subprocess_runner
from dfa_nerfstudio.preprocessing import cli
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_folder import SUMMARY, find_jobs, is_complete, process_folder

CONFIG = ProcessConfig(size=64)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path, ClipConfig(seconds=2.5, seed=1, size=96))
    return path


@pytest.fixture
def videos(clip: Path, tmp_path: Path) -> Path:
    """Folder with two valid videos, one of them in a subfolder, one invalid video, and files to ignore."""
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(clip, folder / "a.mp4")
    shutil.copy(clip, folder / "sub/c.MP4")
    (folder / "b.mov").write_text("not a video")
    (folder / ".hidden.mp4").write_text("left by another program")
    (folder / "notes.txt").write_text("not a video")
    return folder


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_broken_file_fails_alone_and_complete_datasets_are_skipped(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "data"
    monkeypatch.setattr(
        "sys.argv", ["dfa-process", str(videos), "--output", str(output), "--size", "64", "--jobs", "2"]
    )
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == f"error: 1 of 3 videos failed; {output / SUMMARY} lists the reasons\n"
    assert "b.mov" in captured.out and "not a video" in captured.out
    first, broken, third = json.loads((output / SUMMARY).read_text())["videos"]
    assert [entry["video"] for entry in (first, broken, third)] == ["a.mp4", "b.mov", "sub/c.MP4"]
    assert [entry["status"] for entry in (first, broken, third)] == ["completed", "failed", "completed"]
    assert "b.mov: not a video" in broken["reason"] and "\n" not in broken["reason"]
    assert third["dataset"] == "sub/c" and first["metrics"]["num_frames"] == 62 and first["seconds"] > 0
    assert first["metrics"] == third["metrics"] | {"source": "a.mp4"}  # results do not depend on parallel jobs
    for name in ("a", "sub/c"):
        assert DatasetFolder.open(output / name).num_frames == 62
    assert not [name for name in files_below(output) if "partial" in name]

    before = (output / "a/transforms.json").stat().st_mtime_ns
    shutil.copy(videos / "a.mp4", videos / "b.mov")  # repaired
    shutil.rmtree(output / "sub/c/masks")  # incomplete now
    console = Console(file=io.StringIO(), width=200)
    again = process_folder(videos, output, CONFIG, JobsConfig(jobs=1), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "1 of 3 datasets are complete and skipped; replace them with --overwrite" in printed
    assert again[2].reason in printed
    assert [outcome.status for outcome in again] == ["skipped", "completed", "failed"]
    assert again[0].metrics == first["metrics"] and "replace it with --overwrite" in again[2].reason
    assert (output / "a/transforms.json").stat().st_mtime_ns == before
    assert is_complete(output / "a", CONFIG) and not is_complete(output / "a", ProcessConfig(size=66))


def test_dataset_names_are_unique(tmp_path: Path) -> None:
    for name in ("x.mp4", "x.mkv", "y.mp4", "y/z.webm", "out/old.mp4", ".git/no.mp4", "w.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    jobs = find_jobs(tmp_path, tmp_path / "out", CONFIG)
    datasets = {job.name: job.output.relative_to(tmp_path / "out").as_posix() for job in jobs}
    assert datasets == {"w.mp4": "w", "x.mkv": "x.mkv", "x.mp4": "x.mp4", "y.mp4": "y.mp4", "y/z.webm": "y/z"}
    with pytest.raises(UserError, match="no video"):
        find_jobs(tmp_path / "out", tmp_path / "out", CONFIG)


def test_a_process_that_is_killed_fails_alone(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel kills a process in this way if memory runs out."""
    (videos / "b.mov").unlink()
    jobs = find_jobs(videos, tmp_path / "data", CONFIG)
    started = []
    popen = subprocess.Popen

    def recording_popen(*args, **kwargs) -> subprocess.Popen:
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess_runner.subprocess, "Popen", recording_popen)

    def kill_while_processing() -> None:
        while not (tmp_path / "data/.a.partial/images/00010.jpg").exists():
            time.sleep(0.01)
        started[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_while_processing)
    killer.start()
    reasons = {job.name: reason for job, reason, _ in run_jobs(jobs, JobsConfig(jobs=1))}
    killer.join()
    assert reasons == {"a.mp4": "its process was ended by SIGKILL (out of memory?)", "sub/c.MP4": ""}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["sub"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interruption_leaves_no_partial_output(videos: Path, tmp_path: Path, how: signal.Signals) -> None:
    output = tmp_path / "data"
    command = [sys.executable, "-m", "dfa_nerfstudio.preprocessing.cli", str(videos), "--output", str(output)]
    run = subprocess.Popen([*command, "--size", "64", "--jobs", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list(output.glob(".a.partial/images/*")):
        assert run.poll() is None
        time.sleep(0.01)
    os.kill(run.pid, how)
    out = run.communicate(timeout=60)[0].decode()
    assert "Traceback" not in out
    if how == signal.SIGINT:
        assert run.returncode == 130 and out.strip().endswith("interrupted")
    deadline = time.monotonic() + 30  # a killed command cannot wait for its processes, which end later
    while any(output.rglob(".*.partial*")) and how == signal.SIGKILL and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [name for name in files_below(output) if "partial" in name or name.startswith(("a", "sub/c"))]
    assert left == []
    entries = json.loads((output / SUMMARY).read_text())["videos"]
    assert [entry["status"] for entry in entries if entry["video"] != "b.mov"] == ["pending", "pending"]


@pytest.mark.slow
def test_ray(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(videos / "sub")
    ray = pytest.importorskip("ray")
    monkeypatch.chdir("/")  # Ray's processes stay in the folder in which it was started
    for attempt in range(3):  # Ray gives up if it does not start within 30 s, as on a busy machine
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            break
        except Exception:
            if attempt == 2:
                raise
    monkeypatch.chdir(videos.parent)
    here = Path(videos.name)
    output = Path(os.path.relpath(tmp_path / "data"))
    try:
        outcomes = process_folder(here, output, CONFIG, JobsConfig(backend="ray"), QUIET)
        ended = run_jobs(find_jobs(here, tmp_path / "stopped", CONFIG), JobsConfig(backend="ray"))
        assert next(ended)[0].name == "b.mov"  # the other job is still running
        ended.close()
    finally:
        ray.shutdown()
    assert [outcome.status for outcome in outcomes] == ["completed", "failed"], outcomes
    assert "b.mov: not a video" in outcomes[1].reason
    assert DatasetFolder.open(tmp_path / "data/a").num_frames == 62
    assert not (tmp_path / "stopped").exists() or files_below(tmp_path / "stopped") == []
