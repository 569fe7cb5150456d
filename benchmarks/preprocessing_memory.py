"""Measures the peak memory of `dfa-process` by video length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip

SECONDS = 24.0
"""Length of the repeated demo clip, in seconds."""


@dataclass
class PreprocessingMemoryBenchmark:
    """Peak memory of dfa-process on a repeated clip of the demo subject, at 64x64."""

    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    minutes: tuple[int, ...] = (2, 10, 60)
    """Video lengths in minutes."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures every length; writes the record after each."""
        head, rows = record_header("cpu"), list[Row]()
        self.output.mkdir(parents=True, exist_ok=True)
        once, video = self.output / "once.mp4", self.output / "long.mp4"
        make_clip(once, ClipConfig(seconds=SECONDS, size=256, yaw=20.0, pitch=12.0))
        for minutes in self.minutes:
            repeat_video(once, video, SECONDS, round(minutes * 60 / SECONDS))
            cost = run_timed(["dfa-process", video, "--output", self.output / "long", "--size", 64, "--overwrite"])
            rows.append({"minutes_of_video": minutes, **cost})
            write_record("memory_cpu", head, {"dfa-process, demo subject repeated, 64x64": rows})


def repeat_video(source: Path, target: Path, seconds: float, times: int) -> None:
    """Concatenates `times` copies of a video with audio that lasts `seconds`, without re-encoding."""
    with av.open(str(target), "w") as out:
        with av.open(str(source)) as container:
            streams = [container.streams.video[0], container.streams.audio[0]]
            copies = {stream.index: out.add_stream_from_template(stream) for stream in streams}
        last = dict.fromkeys(copies, -(10**15))
        for number in range(times):
            with av.open(str(source)) as container:
                for packet in container.demux(container.streams.video[0], container.streams.audio[0]):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    shift, index = round(number * seconds / packet.time_base), packet.stream.index
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    if packet.dts > last[index]:  # the last audio packets overlap those of the next copy
                        last[index], packet.stream = packet.dts, copies[index]
                        out.mux(packet)
