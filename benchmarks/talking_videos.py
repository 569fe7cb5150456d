"""Talking videos: memory, lengths and sync of a long one, silence, attributes moved one by one, and live."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from benchmarks.field import Field
from benchmarks.held_out import train_and_score
from benchmarks.record import BIN, Row, header, timed, write_record
from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.aperture import Openings
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.viewer.attribute_edits import Edits
from dfa_nerfstudio.viewer.model_proxy import Stage

PAUSE = 2.0
"""Seconds of silence between two stretches of speech."""
SHORT = "english_jfk_11s.flac"
"""Speech where a little is enough."""


@dataclass
class Talk:
    """What dfa-talk makes of a model of a real clip."""

    shared: Path = Path("../shared")
    """Where the clip lies as clips/acosta_71s.mp4, and speech in speech/."""
    load_config: Path | None = None
    """A run of `dfa-nerf-lite` to use; else one is trained."""
    seconds: float = 180.0
    """For so long."""
    minutes: float = 10.0
    """Length of the long video."""
    only: tuple[Literal["long", "silence", "sliders", "live", "every"], ...] = ()
    """Only these parts."""
    output: Path = Path("outputs/bench")
    """Working folder; videos of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything."""
        head = header("cpu")
        config = self.load_config or self._trained()
        speech = self.shared / "speech"
        tables: dict[str, list[Row]] = {}
        parts = {
            "long": ("a long video", lambda: [self._long(config, speech / "english_60s.flac")]),
            "silence": (
                "2 s of silence between speech, mouth opening",
                lambda: self._silence(config, speech / SHORT),
            ),
            "sliders": (
                "squared difference of two pictures between which one slider moves",
                lambda: self._sliders(config),
            ),
            "live": ("live, sound at its own pace", lambda: [self._live(config, speech / SHORT)]),
            "every": ("every file of speech", lambda: self._every(config, speech)),
        }
        for name in self.only or parts:
            title, measure = parts[name]
            tables[title] = measure()
            write_record("talk_cpu", head, tables)

    def _trained(self) -> Path:
        field = Field(shared=self.shared, output=self.output)
        folder = field.folder()
        train_and_score(folder, "dfa-nerf-lite", self.output / "runs", "cpu", seconds=self.seconds)
        return self.output / "runs" / folder.path.name / "dfa-nerf-lite" / f"{self.seconds:g}_s" / "config.yml"

    def _long(self, config: Path, speech: Path) -> Row:
        said = read_audio(speech)
        said = np.tile(said, round(60 * self.minutes * SAMPLE_RATE / len(said)))
        audio, film = self.output / "long.wav", self.output / "long.mp4"
        write_wav(audio, said)
        command = ["dfa-talk", "--load-config", str(config), "--audio", str(audio), "--output", str(film)]
        memory: list[tuple[int, float]] = []  # bytes on disk, GiB in memory
        start = time.monotonic()
        with subprocess.Popen([str(BIN / command[0]), *command[1:]], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while process.poll() is None:
                memory.append((_on_disk(film), _resident(process.pid)))
                time.sleep(0.5)
            said_of_it = process.stdout.read()
        if process.returncode:
            raise UserError(f"dfa-talk failed with exit code {process.returncode}")
        seconds = time.monotonic() - start
        with av.open(str(film)) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            lengths = [float((stream.duration or 0) * (stream.time_base or 0)) for stream in (picture, sound)]
            frames = picture.frames
        minute = max(size for size, _ in memory) / self.minutes
        return {
            "minutes": self.minutes,
            "frames": frames,
            "seconds": seconds,
            "first_frame_s": float(re.findall(r"the first after ([\d.]+) s", said_of_it)[0]),
            "gib_after_a_minute": next(gib for size, gib in memory if size >= minute),
            "gib_at_the_end": [gib for size, gib in memory if size][-1],
            "picture_minus_sound_s": lengths[0] - lengths[1],
            **{f"offset_at_{part:.0%}_ms": 10 * self._offset(config, film, part) for part in (0.25, 0.5, 0.75)},
        }

    def _offset(self, config: Path, film: Path, part: float) -> int:
        """By how many rows of 10 ms the sound comes late in some seconds of a video, as its pixels show it."""
        cut, data = self.output / "cut.mp4", self.output / "cut"
        with av.open(str(film)) as container:
            total, rate = container.streams.video[0].frames, FRAME_RATE
            first = round(part * total)
            start = first / rate
            container.seek(int(start * av.time_base))
            frames = [
                frame.to_ndarray(format="rgb24")
                for frame in container.decode(video=0)
                if start - 1e-3 <= (frame.time or 0) < start + 12
            ]
        sound = read_audio(film)[round(start * SAMPLE_RATE) :][: len(frames) * SAMPLE_RATE // round(rate)]
        height, width, _ = frames[0].shape
        with VideoWriter(cut, rate, (2 * width, 2 * height), SAMPLE_RATE) as writer:
            writer.hear(sound)
            for frame in frames:
                writer.write(frame.repeat(2, 0).repeat(2, 1))
        timed(
            ["dfa-process", cut, "--output", data, "--size", 256, "--held-out", 0, "--camera", "still", "--overwrite"]
        )
        models = AttributeModels.load(load_model(config).clip.folder / FILE_NAME)
        return measure_offset(models, Recording.of(DatasetFolder.open(data).attributes, slice(None)))

    def _silence(self, config: Path, speech: Path) -> list[Row]:
        said = read_audio(speech)[: 8 * SAMPLE_RATE]
        quiet = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
        audio = self.output / "pause.wav"
        write_wav(audio, np.concatenate([said, quiet, said]))
        first = len(said) / SAMPLE_RATE * FRAME_RATE
        frames = np.arange(int(2 * first + PAUSE * FRAME_RATE))
        silent = (frames > first + 6) & (frames < first + PAUSE * FRAME_RATE - 4)
        talking = (frames < first - 4) | (frames > first + PAUSE * FRAME_RATE + 4)
        rows = []
        for name, options in (
            ("as it is", []),
            ("mouth not shut", ["--no-close-in-silence"]),
            ("lips not smoothed", ["--smooth-lips", "0"]),
        ):
            film = self.output / "pause.mp4"
            timed(
                ["dfa-talk", "--load-config", config, "--audio", audio, "--output", film, "--pose", "still", *options]
            )
            opening = Openings.of(_frames(film)).mouth[: len(frames)]
            rows.append({"video": name, **_in_silence(opening, silent, talking)})
        folder = DatasetFolder.open(load_model(config).clip.folder)
        voice = folder.attributes.voice.reshape(-1, MFCC_PER_FRAME)
        reach = np.ones(9)
        spoken = np.convolve(voice.any(1), reach, "same") > 0
        paths = (str(folder.path / frame["file_path"]) for frame in folder.meta["frames"])
        opening = Openings.of(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths).mouth
        rows.append({"video": "the film itself", **_in_silence(opening, ~spoken, voice.all(1))})
        return rows

    def _sliders(self, config: Path, count: int = 24) -> list[Row]:
        model = load_model(config)
        folder, stage = DatasetFolder.open(model.clip.folder), Stage(model)
        stage.track = model.clip.track.to("cpu")
        frames = folder.train_frames[:: len(folder.train_frames) // count]
        boxes = model.clip.boxes[:: len(folder.train_frames) // count].numpy()
        shares: dict[str, list[float]] = {"eye opening, 0 and 1": [], "mouth strength, 0 and 2": []}
        for frame, (mouth, left, right, lower) in zip(frames, boxes, strict=True):
            stage.frame = int(frame)
            for name, low, high, inside in (
                ("eye opening, 0 and 1", Edits(eyes=0.0), Edits(eyes=1.0), (left, right)),
                ("mouth strength, 0 and 2", Edits(mouth=0.0), Edits(mouth=2.0), (mouth, lower)),
            ):
                pictures = []
                for stage.edits in (low, high):
                    pictures.append(stage.get_outputs_for_camera(stage.camera)["rgb"])
                change = (pictures[0] - pictures[1]).square().sum(-1).numpy()
                within = np.zeros_like(change, bool)
                for x0, y0, x1, y1 in inside:
                    within[y0:y1, x0:x1] = True
                shares[name].append(float(change[within].sum() / change.sum()))
        return [
            {"slider": name, "frames": len(values), "share_inside": float(np.mean(values)), "least": min(values)}
            for name, values in shares.items()
        ]

    def _live(self, config: Path, speech: Path) -> Row:
        said = (read_audio(speech) * 32767).astype("<i2").tobytes()
        command = [str(BIN / "dfa-talk"), "--load-config", str(config), "--live"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, **pipes) as process:
            while b"ready" not in process.stderr.readline():
                pass
            reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            start, piece = time.monotonic(), 640 * 2
            for number in range(0, len(said), piece):
                time.sleep(max(start + number / 2 / SAMPLE_RATE - time.monotonic(), 0))
                process.stdin.write(said[number : number + piece])
                process.stdin.flush()
            process.stdin.close()
            log = process.stderr.read().decode()
            reader.wait()
        frames, median, worst, rendering, _, repeated = re.findall(
            r"(\d+) frames, ([\d.]+) s after their sound \(median; at most ([\d.]+) s\), ([\d.]+) s of it rendering"
            r"(; (\d+) of them)?",
            log,
        )[0]
        return {
            "seconds": len(said) / 2 / SAMPLE_RATE,
            "frames": int(frames),
            "median_s": float(median),
            "worst_s": float(worst),
            "rendering_s": float(rendering),
            "repeated": int(repeated or 0),
        }

    def _every(self, config: Path, speech: Path) -> list[Row]:
        rows = []
        for path in sorted(path for path in speech.iterdir() if path.suffix in (".wav", ".flac")):
            film = self.output / f"{path.stem}.mp4"
            command = [str(BIN / "dfa-talk"), "--load-config", str(config), "--audio", str(path), "--output", str(film)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            frames, rate, first = re.findall(r"(\d+) frames, ([\d.]+) frames/s, the first after ([\d.]+) s", said)[0]
            rows.append(
                {
                    "speech": path.name,
                    "frames": int(frames),
                    "frames_per_s": float(rate),
                    "first_frame_s": float(first),
                }
            )
        return rows


def _in_silence(opening: np.ndarray, silent: np.ndarray, talking: np.ndarray) -> Row:
    low = float(np.nanpercentile(opening, 1))  # where the tracker puts lips that are shut
    quiet, speaking = (float(np.nanmean(opening[part])) for part in (silent, talking))
    jitter = float(np.nanstd(np.diff(opening[talking], 2)))
    return {"silent": quiet, "speaking": speaking, "ratio": quiet / speaking, "shut": low, "jitter": jitter}


def _frames(film: Path) -> Iterator[np.ndarray]:
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _on_disk(film: Path) -> int:
    partial = film.with_name(f".{film.stem}.partial{film.suffix}")
    return partial.stat().st_size if partial.exists() else 0


def _resident(process: int) -> float:
    """GiB of memory that a process has at the moment."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / 2**30
