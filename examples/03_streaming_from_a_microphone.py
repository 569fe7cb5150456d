"""Streaming from a microphone: the frames of a person who says what arrives, while it arrives.

Example:
    python examples/03_streaming_from_a_microphone.py --run people/me --show
    python examples/03_streaming_from_a_microphone.py --run people/me --wav speech.wav      # instead of a microphone

The microphone needs the package sounddevice, which mediapipe brings, and its library PortAudio (`libportaudio2` on
Debian and Ubuntu). The window needs Python's tkinter and a display; without `--show` the frames are only counted.

Every frame is rendered, so that a computer that is too slow falls behind; `dfa-talk --live` skips frames instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import numpy as np
import tyro
from jaxtyping import Float32, UInt8
from PIL import Image, ImageTk

import dfa_nerfstudio as dfa
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE

CHUNK = 640
"""Samples that are handed on at a time: one frame, 40 ms."""


def listen(seconds: float) -> Iterator[Float32[np.ndarray, " n"]]:
    """Yields chunks from the default microphone."""
    import sounddevice

    # Received in a thread of PortAudio, so that nothing is lost while a frame is rendered.
    received: Queue[Float32[np.ndarray, " n"]] = Queue()
    options = {"samplerate": SAMPLE_RATE, "blocksize": CHUNK, "channels": 1, "dtype": "float32"}
    with sounddevice.InputStream(callback=lambda samples, *_: received.put(samples[:, 0].copy()), **options):
        for _ in range(round(seconds * SAMPLE_RATE / CHUNK)):
            yield received.get()


def play(path: Path) -> Iterator[Float32[np.ndarray, " n"]]:
    """Yields chunks of a file, each one when its last sample would have been recorded."""
    samples, begin = read_audio(path), time.monotonic()
    for start in range(0, len(samples), CHUNK):
        time.sleep(max(begin + (start + CHUNK) / SAMPLE_RATE - time.monotonic(), 0))
        yield samples[start : start + CHUNK]


class Window:
    """A window that shows frames."""

    def __init__(self) -> None:
        import tkinter

        self.root = tkinter.Tk()
        self.label = tkinter.Label(self.root)
        self.label.pack()

    def show(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Shows a frame in place of the one before."""
        self.image = ImageTk.PhotoImage(Image.fromarray(frame))  # kept, because Tk holds no reference to it
        self.label.configure(image=self.image)
        self.root.update()


def main(run: Path, wav: Path | None = None, seconds: float = 60.0, show: bool = False) -> None:
    """Renders while audio arrives.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
        wav: file that is played in real time, in place of the microphone.
        seconds: time for which the microphone is recorded.
        show: shows the frames in a window.
    """
    person = dfa.load(run)
    for _ in person.stream([np.zeros(SAMPLE_RATE, np.float32)]):
        pass  # Functions are compiled at their first use, which would make the first frames late.
    window = Window() if show else None
    num_frames, begin = 0, time.monotonic()
    for frame in person.stream(listen(seconds) if wav is None else play(wav)):
        num_frames += 1
        if window is not None:
            window.show(frame)
    print(f"{num_frames} frames in {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    tyro.cli(main)
