"""`dfa-demo`: renders a clip of the demo subject, writes driving audio, and summarises `make demo`."""

from __future__ import annotations

import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.progress import Progress

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.demo.speech import driving_sentence
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.reporting.console import make_console


@dataclass
class MakeClip:
    """Renders a talking demo subject to an mp4 with audio, and its ground truth beside it (`*.truth.npz`)."""

    output: Path
    """Path of the mp4."""
    config: Annotated[ClipConfig, tyro.conf.arg(name="")] = field(default_factory=ClipConfig)

    def run(self) -> None:
        with Progress() as progress:
            task = progress.add_task("rendering", total=None)
            make_clip(self.output, self.config, lambda done, total: progress.update(task, completed=done, total=total))
        print(f"{self.output}: {self.config.seconds:g} s, ground truth in {truth_path(self.output)}")


@dataclass
class WriteDrivingAudio:
    """Writes driving audio: a sentence that no clip contains (wav, 16 kHz, mono, about 6 s)."""

    output: Path
    """Path of the wav."""

    def run(self) -> None:
        if self.output.suffix.lower() != ".wav":
            raise UserError(f"{self.output}: the output's name must end in .wav")
        speech = driving_sentence()
        try:
            with atomic_write(self.output) as partial, wave.open(str(partial), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE)
                file.writeframes(np.round(speech.samples * 32767).astype("<i2").tobytes())
        except OSError as error:
            raise UserError(f"{self.output}: cannot be written ({error}); choose another file name or folder") from None
        print(f"{self.output}: {speech.duration:.1f} s")


@dataclass
class Summary:
    """Prints the metrics of a finished `make demo`, compared with the rendered ground truth."""

    folder: tyro.conf.Positional[Path]
    """Folder of the demo, outputs/demo."""

    def run(self) -> None:
        from dfa_nerfstudio.demo.summary import print_demo_summary

        print_demo_summary(self.folder, make_console())


def main() -> None:
    """Runs `dfa-demo`."""
    with exit_on_user_error():
        commands = {"make-clip": MakeClip, "driving-audio": WriteDrivingAudio, "summary": Summary}
        tyro.extras.subcommand_cli_from_dict(commands).run()


if __name__ == "__main__":
    main()
