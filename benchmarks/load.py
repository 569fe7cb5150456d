"""Measures programs under load: a corpus of many videos with bad ones among them, and live clients for minutes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Literal

import av
import numpy as np
from websockets.sync.client import connect

from benchmarks.record import BIN, Row, record_header, resident_gib, write_record
from dfa_nerfstudio.data.dataset_folder import AUDIO, TRANSFORMS
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

CLIP_SECONDS = 6.0
"""Length of each video of the corpus, in seconds."""
WARM_UP_S = 30.0
"""Seconds after which the memory of a live session is measured for the first time."""
MESSAGE = SAMPLE_RATE // 10
"""Samples per message of a live client."""
PORT = 8799


@dataclass
class LoadBenchmark:
    """Memory, time and losses under load."""

    shared: Path = Path("../shared")
    """Folder of the test material, with speech/english_60s.flac."""
    load_config: Path | None = None
    """config.yml of a run, for the live clients; without it they are left out."""
    videos: int = 190
    """Number of good videos in the corpus; ten bad ones are added."""
    jobs: int = 2
    """Videos that are processed at once."""
    clients: int = 4
    """Number of live clients, one after another."""
    minutes: float = 10.0
    """Minutes that all live clients speak together."""
    only: tuple[Literal["corpus", "live"], ...] = ()
    """Parts to measure; all by default."""
    output: Path = Path("outputs/bench/load")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; writes the record after each part."""
        head, tables = record_header("cpu"), dict[str, list[Row]]()
        self.output.mkdir(parents=True, exist_ok=True)
        if "corpus" in self.only or not self.only:
            tables["dfa-process on a folder, demo subject, 64x64"] = [self._corpus()]
            write_record("load_cpu", head, tables)
        if self.load_config is not None and ("live" in self.only or not self.only):
            tables["live clients, one after another"] = [self._client(number) for number in range(self.clients)]
            write_record("load_cpu", head, tables)

    def _corpus(self) -> Row:
        videos, data = self.output / "videos", self.output / "data"
        for name, content in self._files():
            path = videos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = ["dfa-process", videos, "--output", data, "--size", 64, "--jobs", self.jobs, "--overwrite"]
        memory, start = list[float](), time.monotonic()
        with subprocess.Popen([str(BIN / "dfa-process"), *map(str, command[1:])], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                memory.append(resident_gib(process.pid))
                time.sleep(0.5)
        seconds = time.monotonic() - start
        outcomes = json.loads((data / "corpus.json").read_text())["videos"]
        status = Counter(one["status"] for one in outcomes)
        bad = [one for one in outcomes if Path(one["video"]).name.startswith("bad")]
        good = [one for one in outcomes if one not in bad and one["status"] == "completed"]
        for one in bad:
            print(f"{one['video']}: {one['reason'] or one['metrics']['warnings']}")
        return {
            "videos": len(outcomes),
            **status,
            "bad ones that failed": sum(one["status"] == "failed" for one in bad),
            "bad ones with a warning": sum(bool(one["metrics"].get("warnings")) for one in bad),
            "results of the good ones": len({_digest(data / one["dataset"]) for one in good}),
            "exit code": process.returncode,
            "seconds": seconds,
            "gib_at_a_tenth": memory[len(memory) // 10],
            "gib_at_the_end": max(memory[-10:-2]),
            "left over files": sum(1 for path in data.rglob(".*") if path.is_file()),
        }

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Yields name and content of each file of the corpus."""
        clip, mute, short = (self.output / name for name in ("clip.mp4", "mute.mp4", "short.mp4"))
        make_clip(clip, ClipConfig(seconds=CLIP_SECONDS, size=192))
        make_clip(short, ClipConfig(seconds=1.0, size=192))
        _write_noise(mute)
        good = clip.read_bytes()
        for number in range(self.videos):
            yield f"{number % 7}/good {number:03d}.mp4", good
        bad = {
            "empty": b"",
            "text": b"not a video\n" * 100,
            "header": good[:200],
            "half": good[: len(good) // 2],  # its index is at the front, so that the first half can be read
            "bytes": bytes(np.random.default_rng(0).integers(0, 256, len(good), np.uint8)),
            "noise": mute.read_bytes(),
            "short": short.read_bytes(),
            "zeros": bytes(len(good)),
            "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
            "end": good[len(good) // 2 :],
        }
        for number, (name, content) in enumerate(bad.items()):
            yield f"{number % 7}/bad {name}.mp4", content

    def _client(self, number: int) -> Row:
        """Speaks in real time for its share of the minutes; counts the frames of the video that comes back."""
        seconds = 60 * self.minutes / self.clients
        speech = read_audio(self.shared / "speech" / "english_60s.flac")
        samples = np.resize((speech * 32767).astype("<i2"), round(seconds * SAMPLE_RATE))
        video = self.output / f"live_{number}.ts"
        command = [str(BIN / "dfa-talk"), "--load-config", str(self.load_config), "--live", "--listen", str(PORT)]
        with video.open("wb") as target, subprocess.Popen(command, stdout=target, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            while b"listening" not in process.stderr.readline():
                pass
            log = list[str]()
            reader = Thread(target=lambda: log.append(process.stderr.read().decode()))
            reader.start()
            first = last = 0.0
            with connect(f"ws://127.0.0.1:{PORT}") as socket:
                start = time.monotonic()
                for position in range(0, len(samples), MESSAGE):
                    time.sleep(max(start + position / SAMPLE_RATE - time.monotonic(), 0))
                    socket.send(samples[position : position + MESSAGE].tobytes())
                    last = resident_gib(process.pid)
                    first = first or (last if position > WARM_UP_S * SAMPLE_RATE else 0.0)
                socket.send("end")
            process.wait()
            reader.join()
        with av.open(str(video)) as container:
            frames = sum(1 for _ in container.decode(video=0))
        return {
            "client": number + 1,
            "seconds": seconds,
            "frames": frames,
            "frames expected": round(seconds * FRAME_RATE),
            "gib_after_30_s": first,
            "gib_at_the_end": last,
            "summary": log[0].strip().splitlines()[-1],
        }


def _digest(folder: Path) -> str:
    """Hash of what a dataset folder says of the video: its poses and its audio."""
    return hashlib.sha256((folder / TRANSFORMS).read_bytes() + (folder / AUDIO).read_bytes()).hexdigest()


def _write_noise(path: Path) -> None:
    """Writes a video of noise, in which there is no face, without audio."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for _ in range(150):
            image = generator.integers(0, 256, (192, 192, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
