"""`dfa-demo`: a clip of the demo subject, and speech to drive it with."""

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


@dataclass
class MakeClip:
    """Renders the demo subject talking: an mp4 with sound, and its ground truth beside it (`*.truth.npz`)."""

    output: Path
    """The mp4 to write."""
    config: Annotated[ClipConfig, tyro.conf.arg(name="")] = field(default_factory=ClipConfig)

    def run(self) -> None:
        with Progress() as progress:
            task = progress.add_task("rendering", total=None)
            make_clip(self.output, self.config, lambda done, total: progress.update(task, completed=done, total=total))
        print(f"{self.output}: {self.config.seconds:g} s, ground truth in {truth_path(self.output)}")


@dataclass
class DrivingAudio:
    """Writes the sentence that no clip contains (16 kHz mono wav, about 6 s): audio to drive a trained model with."""

    output: Path
    """The wav to write."""

    def run(self) -> None:
        if self.output.suffix.lower() != ".wav":
            raise UserError(f"{self.output}: the output must be named .wav")
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
class Figures:
    """Prints what a finished `make demo` reached, against the truth that was rendered."""

    folder: tyro.conf.Positional[Path]
    """The demo's folder, outputs/demo."""

    def run(self) -> None:
        from rich.console import Console

        from dfa_nerfstudio.demo.summary import print_figures

        print_figures(self.folder, Console())


def main() -> None:
    """Entry point of `dfa-demo`."""
    with exit_on_user_error():
        commands = {"make-clip": MakeClip, "driving-audio": DrivingAudio, "figures": Figures}
        tyro.extras.subcommand_cli_from_dict(commands).run()


if __name__ == "__main__":
    main()
