"""The peak memory of `dfa-process` by the length of the film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip

SECONDS = 24.0
"""Length of the demo clip that is repeated."""


@dataclass
class Memory:
    """Peak memory of dfa-process on the demo subject, again and again, at 64x64."""

    shared: Path = Path("../shared")
    """Not used; every benchmark takes it."""
    minutes: tuple[int, ...] = (2, 10, 60)
    """Lengths of the films."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures every length; the record is there, and grows, from the first one on."""
        head, rows = header("cpu"), list[Row]()
        self.output.mkdir(parents=True, exist_ok=True)
        once, film = self.output / "once.mp4", self.output / "long.mp4"
        make_clip(once, ClipConfig(seconds=SECONDS, size=256, yaw=20.0, pitch=12.0))
        for minutes in self.minutes:
            repeat_film(once, film, SECONDS, round(minutes * 60 / SECONDS))
            took = timed(["dfa-process", film, "--output", self.output / "long", "--size", 64, "--overwrite"])
            rows.append({"minutes_of_film": minutes, **took})
            write_record("memory_cpu", head, {"dfa-process, the demo subject again and again, 64x64": rows})


def repeat_film(source: Path, target: Path, seconds: float, times: int) -> None:
    """Writes picture and sound of `source`, which last `seconds`, so many times one after the other, undecoded."""
    with av.open(str(target), "w") as out:
        with av.open(str(source)) as film:
            streams = [film.streams.video[0], film.streams.audio[0]]
            copies = {stream.index: out.add_stream_from_template(stream) for stream in streams}
        last = dict.fromkeys(copies, -(10**15))
        for number in range(times):
            with av.open(str(source)) as film:
                for packet in film.demux(film.streams.video[0], film.streams.audio[0]):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    shift, index = round(number * seconds / packet.time_base), packet.stream.index
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    if packet.dts > last[index]:  # the last packets of sound overlap the next ones
                        last[index], packet.stream = packet.dts, copies[index]
                        out.mux(packet)
