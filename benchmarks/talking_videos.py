"""Measures talking videos: start-up, memory and sync of a long video, silence, single attribute edits, live latency."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from benchmarks.field_variants import FieldBenchmark
from benchmarks.held_out import train_and_score
from benchmarks.record import BIN, Row, record_header, resident_gib, run_timed, write_record
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.talk.load_model import load_model
from dfa_nerfstudio.viewer.attribute_edits import AttributeEdits
from dfa_nerfstudio.viewer.model_proxy import ModelProxy

PAUSE = 2.0
"""Duration of the silence between two segments of speech, in seconds."""
SHORT_SPEECH = "english_jfk_11s.flac"
"""File of short speech, for the parts that need little."""
TELL_FIRST_FRAME = """
import time
from dfa_nerfstudio.media.video_writer import VideoEncoder
from dfa_nerfstudio.talk.cli import main

write_frame, written = VideoEncoder.write_frame, []

def tell(self, frame):
    if not written:
        print("first frame at", time.monotonic(), flush=True)
    written.append(frame.shape)
    write_frame(self, frame)

VideoEncoder.write_frame = tell
main()
"""
"""Runs dfa-talk, and tells when it hands its first frame to the video."""


@dataclass
class TalkBenchmark:
    """Start-up, quality, memory and speed of dfa-talk with a model of a real clip."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/acosta_71s.mp4 and speech/."""
    load_config: Path | None = None
    """config.yml of a run of `dfa-nerf-lite`; without it a model is trained."""
    seconds: float = 180.0
    """Training time in seconds."""
    minutes: float = 10.0
    """Length of the long video, in minutes."""
    size: int | None = None
    """Size of the long video in pixels; by default that of the training images."""
    only: tuple[Literal["start", "long", "silence", "sliders", "live", "every"], ...] = ()
    """Parts to measure; all by default."""
    output: Path = Path("outputs/bench")
    """Working folder. Videos of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything; writes the record after each part."""
        head = record_header("cpu")
        config = self.load_config or self._trained()
        speech = self.shared / "speech"
        tables: dict[str, list[Row]] = {}
        parts = {
            "start": (
                "command to first frame, one sentence",
                lambda: [self._start(config, speech / SHORT_SPEECH) for _ in range(3)],
            ),
            "long": ("a long video", lambda: [self._long(config, speech / "english_60s.flac")]),
            "silence": (
                "2 s of silence between speech, mouth aperture",
                lambda: self._silence(config, speech / SHORT_SPEECH),
            ),
            "sliders": (
                "squared difference of two images that differ by one slider",
                lambda: self._sliders(config),
            ),
            "live": ("live, audio in real time", lambda: [self._live(config, speech / SHORT_SPEECH)]),
            "every": ("every file of speech", lambda: self._every(config, speech)),
        }
        for name in self.only or parts:
            title, measure = parts[name]
            tables[title] = measure()
            write_record("talk_cpu", head, tables)

    def _trained(self) -> Path:
        field = FieldBenchmark(shared=self.shared, output=self.output)
        folder = field.folder()
        train_and_score(folder, "dfa-nerf-lite", self.output / "runs", "cpu", seconds=self.seconds)
        return self.output / "runs" / folder.path.name / "dfa-nerf-lite" / f"{self.seconds:g}_s" / "config.yml"

    def _start(self, config: Path, speech: Path) -> Row:
        """Measures the time from the command's start to its first frame, and its peak memory."""
        options = ["--load-config", config, "--audio", speech, "--end", "3", "--output", self.output / "start.mp4"]
        command = [sys.executable, "-c", TELL_FIRST_FRAME, *map(str, options)]
        start, memory = time.monotonic(), [0.0]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while process.poll() is None:
                memory.append(resident_gib(process.pid))
                time.sleep(0.02)
            log = process.stdout.read()
        if process.returncode:
            raise UserError(f"dfa-talk failed with exit code {process.returncode}")
        first = float(re.findall(r"first frame at ([\d.]+)", log)[0])
        return {"first_frame_s": first - start, "seconds": time.monotonic() - start, "peak_gib": max(memory)}

    def _long(self, config: Path, speech: Path) -> Row:
        """Renders a long video; measures its memory, its start, and its audio-video sync."""
        samples = read_audio(speech)
        samples = np.tile(samples, round(60 * self.minutes * SAMPLE_RATE / len(samples)))
        audio, video = self.output / "long.wav", self.output / "long.mp4"
        write_wav(audio, samples)
        command = ["dfa-talk", "--load-config", str(config), "--audio", str(audio), "--output", str(video)]
        command += ["--fps", str(FRAME_RATE), *(["--size", str(self.size)] if self.size else [])]
        memory: list[tuple[int, float]] = []  # bytes on disk, GiB in memory
        start = time.monotonic()
        with subprocess.Popen([str(BIN / command[0]), *command[1:]], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while process.poll() is None:
                memory.append((_partial_size(video), resident_gib(process.pid)))
                time.sleep(0.5)
            log = process.stdout.read()
        if process.returncode:
            raise UserError(f"dfa-talk failed with exit code {process.returncode}")
        seconds = time.monotonic() - start
        with av.open(str(video)) as container:
            streams = container.streams.video[0], container.streams.audio[0]
            lengths = [float((stream.duration or 0) * (stream.time_base or 0)) for stream in streams]
            frames = streams[0].frames
        minute = max(size for size, _ in memory) / self.minutes
        return {
            "minutes": self.minutes,
            "size": self.size or "as trained",
            "frames": frames,
            "seconds": seconds,
            "first_frame_s": float(re.findall(r"first frame after ([\d.]+) s", log)[0]),
            "gib_after_a_minute": next(gib for size, gib in memory if size >= minute),
            "gib_at_the_end": [gib for size, gib in memory if size][-1],
            "video_minus_audio_s": lengths[0] - lengths[1],
            **({} if self.size else self._offsets(config, video)),
        }

    def _offsets(self, config: Path, video: Path) -> Row:
        return {f"offset_at_{part:.0%}_ms": 10 * self._offset(config, video, part) for part in (0.25, 0.5, 0.75)}

    def _offset(self, config: Path, video: Path, part: float) -> int:
        """Measures the audio delay in 12 s of a rendered video from its pixels, in MFCC rows of 10 ms."""
        segment, data = self.output / "segment.mp4", self.output / "segment"
        with av.open(str(video)) as container:
            total, rate = container.streams.video[0].frames, FRAME_RATE
            first = round(part * total)
            start = first / rate
            container.seek(int(start * av.time_base))
            frames = [
                frame.to_ndarray(format="rgb24")
                for frame in container.decode(video=0)
                if start - 1e-3 <= (frame.time or 0) < start + 12
            ]
        audio_samples = read_audio(video)[round(start * SAMPLE_RATE) :][: len(frames) * SAMPLE_RATE // round(rate)]
        height, width, _ = frames[0].shape
        with VideoWriter(segment, rate, (2 * width, 2 * height), SAMPLE_RATE) as writer:
            writer.write_audio(audio_samples)
            for frame in frames:
                writer.write_frame(frame.repeat(2, 0).repeat(2, 1))
        options = ["--size", 256, "--held-out", 0, "--camera", "static", "--overwrite"]
        run_timed(["dfa-process", segment, "--output", data, *options])
        models = AttributeModels.load(load_model(config).clip.folder / MODELS_FILE_NAME)
        return measure_offset(models, Recording.from_clip(DatasetFolder.open(data).attributes, slice(None)))

    def _silence(self, config: Path, speech: Path) -> list[Row]:
        """Measures the mouth aperture in a pause between two segments of speech."""
        samples = read_audio(speech)[: 8 * SAMPLE_RATE]
        silence = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
        audio = self.output / "pause.wav"
        write_wav(audio, np.concatenate([samples, silence, samples]))
        first = len(samples) / SAMPLE_RATE * FRAME_RATE
        frames = np.arange(int(2 * first + PAUSE * FRAME_RATE))
        silent = (frames > first + 6) & (frames < first + PAUSE * FRAME_RATE - 4)
        talking = (frames < first - 4) | (frames > first + PAUSE * FRAME_RATE + 4)
        rows = []
        for name, options in (
            ("default", []),
            ("mouth not closed in silence", ["--no-close-in-silence"]),
            ("lips not smoothed", ["--smooth-lips", "0"]),
        ):
            video = self.output / "pause.mp4"
            run_timed(
                ["dfa-talk", "--load-config", config, "--audio", audio, "--output", video, "--pose", "still", *options]
            )
            opening = Aperture.from_frames(read_frames(video)).mouth[: len(frames)]
            rows.append({"video": name, **_silence_metrics(opening, silent, talking)})
        folder = DatasetFolder.open(load_model(config).clip.folder)
        voice = folder.attributes.voice.reshape(-1, MFCC_PER_FRAME)
        window = np.ones(9)
        spoken = np.convolve(voice.any(1), window, "same") > 0
        paths = (str(folder.path / frame["file_path"]) for frame in folder.meta["frames"])
        opening = Aperture.from_frames(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths).mouth
        rows.append({"video": "source video", **_silence_metrics(opening, ~spoken, voice.all(1))})
        return rows

    def _sliders(self, config: Path, count: int = 24) -> list[Row]:
        """Measures the share of each slider's effect that lies inside the region it should edit."""
        model = load_model(config)
        folder, proxy = DatasetFolder.open(model.clip.folder), ModelProxy(model)
        proxy.track = model.clip.track.to("cpu")
        frames = folder.train_frames[:: len(folder.train_frames) // count]
        boxes = model.clip.boxes[:: len(folder.train_frames) // count].numpy()
        shares: dict[str, list[float]] = {"eye opening, 0 and 1": [], "mouth strength, 0 and 2": []}
        for frame, (mouth, left, right, lower) in zip(frames, boxes, strict=True):
            proxy.frame = int(frame)
            for name, low, high, inside in (
                ("eye opening, 0 and 1", {"eye_opening": 0.0}, {"eye_opening": 1.0}, (left, right)),
                ("mouth strength, 0 and 2", {"mouth_amplitude": 0.0}, {"mouth_amplitude": 2.0}, (mouth, lower)),
            ):
                images = []
                for edits in (low, high):
                    proxy.edits = AttributeEdits(**edits)
                    images.append(proxy.get_outputs_for_camera(proxy.source_camera)["rgb"])
                change = (images[0] - images[1]).square().sum(-1).numpy()
                within = np.zeros_like(change, bool)
                for x0, y0, x1, y1 in inside:
                    within[y0:y1, x0:x1] = True
                shares[name].append(float(change[within].sum() / change.sum()))
        return [
            {"slider": name, "frames": len(values), "share_inside": float(np.mean(values)), "min": min(values)}
            for name, values in shares.items()
        ]

    def _live(self, config: Path, speech: Path) -> Row:
        """Streams audio in real time through a pipe; returns the latencies that dfa-talk reports."""
        samples = (read_audio(speech) * 32767).astype("<i2").tobytes()
        command = [str(BIN / "dfa-talk"), "--load-config", str(config), "--live"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, **pipes) as process:
            while b"ready" not in process.stderr.readline():
                pass
            reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            start, chunk = time.monotonic(), 640 * 2
            for number in range(0, len(samples), chunk):
                time.sleep(max(start + number / 2 / SAMPLE_RATE - time.monotonic(), 0))
                process.stdin.write(samples[number : number + chunk])
                process.stdin.flush()
            process.stdin.close()
            log = process.stderr.read().decode()
            reader.wait()
        frames, median, worst, rendering, _, repeated = re.findall(
            r"(\d+) frames, ([\d.]+) s after their audio \(median; at most ([\d.]+) s\), ([\d.]+) s of it rendering"
            r"(; (\d+) of them)?",
            log,
        )[0]
        return {
            "seconds": len(samples) / 2 / SAMPLE_RATE,
            "frames": int(frames),
            "median_s": float(median),
            "worst_s": float(worst),
            "rendering_s": float(rendering),
            "repeated": int(repeated or 0),
        }

    def _every(self, config: Path, speech: Path) -> list[Row]:
        """Renders a video of every speech file; returns frame rates and the delay of the first frame."""
        rows = []
        for path in sorted(path for path in speech.iterdir() if path.suffix in (".wav", ".flac")):
            video = self.output / f"{path.stem}.mp4"
            command = [BIN / "dfa-talk", "--load-config", config, "--audio", path, "--output", video]
            log = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True).stdout
            frames, rate, first = re.findall(r"(\d+) frames, ([\d.]+) frames/s, first frame after ([\d.]+) s", log)[0]
            row = {"frames": int(frames), "frames_per_s": float(rate), "first_frame_s": float(first)}
            rows.append({"speech": path.name, **row})
        return rows


def _silence_metrics(opening: np.ndarray, silent: np.ndarray, talking: np.ndarray) -> Row:
    """Mean mouth aperture in silent and in talking frames, their ratio, and jitter while talking."""
    low = float(np.nanpercentile(opening, 1))  # aperture that the tracker reports for closed lips
    in_silence, in_speech = (float(np.nanmean(opening[part])) for part in (silent, talking))
    jitter = float(np.nanstd(np.diff(opening[talking], 2)))
    ratio = in_silence / in_speech
    return {"silent": in_silence, "speaking": in_speech, "ratio": ratio, "closed": low, "jitter": jitter}


def read_frames(video: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video, RGB."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _partial_size(video: Path) -> int:
    partial = video.with_name(f".{video.stem}.partial{video.suffix}")
    return partial.stat().st_size if partial.exists() else 0
