"""The commands that a user types, run within the test process, and a subject that has gone through all of them."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

BIN = Path(sys.executable).parent
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command within this process, which saves the seconds that importing torch and nerfstudio takes.

    Returns:
        exit code, standard output and standard error, as `subprocess.run` gives them. An exception becomes a traceback
        on standard error and exit code 1, as it would for a user.
    """
    (entry,) = entry_points(group="console_scripts", name=str(command[0]))
    path = f"{os.environ['PATH']}{os.pathsep}{_ffmpeg()}"
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", [str(BIN / command[0]), *map(str, command[1:])]),
        mock.patch.dict(os.environ, PATH=path),
    ):
        try:
            entry.load()()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            traceback.print_exc()
            code = 1
        finally:
            if "nerfstudio.utils.writer" in sys.modules:  # what nerfstudio logs to, for the rest of the process
                sys.modules["nerfstudio.utils.writer"].EVENT_WRITERS.clear()
    return subprocess.CompletedProcess([*map(str, command)], code, out.getvalue(), err.getvalue())


def run_in_process_of_its_own(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user does, where a test is about the process itself."""
    line = [str(BIN / command[0]), *map(str, command[1:])]
    path = f"{os.environ['PATH']}{os.pathsep}{_ffmpeg()}"
    return subprocess.run(line, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path})


@functools.cache
def _ffmpeg() -> Path:
    """A folder that holds an ffmpeg, which nerfstudio looks for."""
    import imageio_ffmpeg

    folder = Path(tempfile.mkdtemp())
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return folder


def succeed(*command: str | Path) -> str:
    """The standard output of a command; fails with all of its output if the command does."""
    result = run(*command)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def refused(*command: str | Path) -> str:
    """The one-line error of a command, which must refuse its arguments: exit code 2, no traceback."""
    result = run(*command)
    message = result.stderr.strip()
    assert result.returncode == 2, f"{command}\n{result.stdout[-3000:]}\n{message[-3000:]}"
    assert message.startswith("error: ") and "\n" not in message, message
    return message


@dataclass
class PipelineRun:
    """Files that the commands from a clip to a trained model have written."""

    folder: Path
    config: Path
    clip: Path
    speech: Path
    data: Path

    @classmethod
    def in_folder(cls, folder: Path, clip: Path, speech: Path) -> PipelineRun:
        """The files of `run_pipeline`."""
        return cls(folder, folder / "runs/test/dfa-nerf-lite/run/config.yml", clip, speech, folder / "data")


def run_pipeline(folder: Path, clip: Path, speech: Path, steps: int) -> PipelineRun:
    """Makes a dataset folder of a clip, trains the attribute models and the renderer."""
    done = PipelineRun.in_folder(folder, clip, speech)
    succeed("dfa-process", clip, "--output", done.data, "--size", "64")
    succeed("dfa-attributes", done.data, "--step-multiplier", "0.1", "--no-progress")
    runs = ("--output-dir", folder / "runs", "--experiment-name", "test", "--timestamp", "run")
    options = ("--vis", "tensorboard", "--max-num-iterations", str(steps))
    succeed("ns-train", "dfa-nerf-lite", "--data", done.data, *runs, *options)
    return done


def run_in_triton_interpreter(code: str) -> None:
    """Runs code in Triton's interpreter, which is chosen when kernels are first imported: in a process of its own."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
