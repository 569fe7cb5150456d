"""The commands a user types, and a subject that has gone the whole way."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command as a user runs it."""
    line = [str(BIN / command[0]), *map(str, command[1:])]
    path = f"{os.environ['PATH']}{os.pathsep}{_ffmpeg()}"
    return subprocess.run(line, capture_output=True, text=True, timeout=600, env={**os.environ, "PATH": path})


@functools.cache
def _ffmpeg() -> Path:
    """A folder with an ffmpeg, which nerfstudio looks for."""
    import imageio_ffmpeg

    folder = Path(tempfile.mkdtemp())
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return folder


def succeed(*command: str | Path) -> str:
    """Its output; fails with all of it if the command does."""
    result = run(*command)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@dataclass
class Walked:
    """What the commands left behind."""

    folder: Path
    config: Path
    clip: Path
    speech: Path
    data: Path


def walk(folder: Path, clip: Path, speech: Path, steps: int) -> Walked:
    """From a clip to a trained model."""
    data = folder / "data"
    succeed("dfa-process", clip, "--output", data, "--size", "64")
    succeed("dfa-attributes", data, "--effort", "0.1", "--no-progress")
    runs = ("--output-dir", folder / "runs", "--experiment-name", "test", "--timestamp", "run")
    options = ("--vis", "tensorboard", "--max-num-iterations", str(steps))
    succeed("ns-train", "dfa-nerf-lite", "--data", data, *runs, *options)
    return Walked(folder, folder / "runs/test/dfa-nerf-lite/run/config.yml", clip, speech, data)


def interpreted(code: str) -> None:
    """Runs code in Triton's interpreter, which is chosen when kernels are first imported: in a process of its own."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
