"""The whole way of the data at small size, by the commands a user types; and what they refuse."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.attributes.attribute_models import FILE_NAME
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk import cli as talk
from tests.conftest import CLIPS, needs_clips
from tests.pipeline_fixture import Walked, run, succeed, walk


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """The one line that dfa-talk refuses its arguments with."""
    monkeypatch.setattr(sys, "argv", ["dfa-talk", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        talk.main()
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ") and "\n" not in message
    return message


def test_a_model_that_hears_other_features(demo: Walked, tmp_path: Path, capsys, monkeypatch):
    """Trained on features from a file, it takes a file for the speech too, and says so where there is none."""
    generator, film = np.random.default_rng(0), tmp_path / "talking.mp4"
    for name, frames in (("film", 200), ("speech", int(np.ceil(len(read_audio(demo.speech)) * 25 / SAMPLE_RATE)))):
        np.save(tmp_path / f"{name}.npy", generator.normal(size=(frames, 2, 3)))
    runs = ("--output-dir", tmp_path / "runs", "--experiment-name", "test", "--timestamp", "run")
    options = ("--vis", "tensorboard", "--max-num-iterations", "3")
    features = ("dfa-data", "--audio-features", tmp_path / "film.npy")
    succeed("ns-train", "dfa-nerf-lite", "--data", demo.data, *runs, *options, *features)
    arguments = ("--load-config", tmp_path / "runs/test/dfa-nerf-lite/run/config.yml", "--audio", demo.speech)
    arguments = (*arguments, "--output", film)
    assert "give those of this audio with --audio-features" in refused(capsys, monkeypatch, *arguments)
    message = refused(capsys, monkeypatch, *arguments, "--audio-features", tmp_path / "film.npy")
    assert "film.npy: 200 rows for 156 frames" in message and not film.exists()
    succeed("dfa-talk", *arguments, "--audio-features", tmp_path / "speech.npy")
    with av.open(str(film)) as container:
        assert container.streams.video[0].frames == 156
    taken = ("--load-config", demo.config, "--audio", demo.speech, "--output", film)
    assert "takes no --audio-features" in refused(
        capsys, monkeypatch, *taken, "--audio-features", tmp_path / "speech.npy"
    )


def test_unusable_speech_is_refused(demo: Walked, tmp_path: Path, capsys, monkeypatch):
    output = tmp_path / "talking.mp4"
    arguments = ("--load-config", demo.config, "--output", output, "--audio")
    sounds = {
        "empty.wav": (np.zeros(0, np.float32), "empty"),
        "silent.wav": (np.zeros(SAMPLE_RATE, np.float32), "silent"),
        "short.wav": (np.full(1000, 0.5, np.float32), "shorter than one window"),
    }
    for name, (samples, reason) in sounds.items():
        write_wav(tmp_path / name, samples)
        message = refused(capsys, monkeypatch, *arguments, tmp_path / name)
        assert name in message and reason in message
    assert "no such file" in refused(capsys, monkeypatch, *arguments, tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("this is no sound")
    assert "text.wav" in refused(capsys, monkeypatch, *arguments, tmp_path / "text.wav")
    assert not output.exists() and not list(tmp_path.glob(".*partial*"))


def test_unusable_models_are_refused(demo: Walked, tmp_path: Path, capsys, monkeypatch):
    arguments = ("--audio", demo.speech, "--output", tmp_path / "talking.mp4", "--load-config")
    assert "no such file" in refused(capsys, monkeypatch, *arguments, tmp_path / "config.yml")
    (tmp_path / "config.yml").write_text("not: a run")
    assert "no checkpoint" in refused(capsys, monkeypatch, *arguments, tmp_path / "config.yml")

    models = demo.data / FILE_NAME
    whole = models.read_bytes()
    try:
        models.write_bytes(whole[: len(whole) // 2])
        assert FILE_NAME in refused(capsys, monkeypatch, *arguments, demo.config)
        models.unlink()
        assert FILE_NAME in refused(capsys, monkeypatch, *arguments, demo.config)
    finally:
        models.write_bytes(whole)


def test_a_folder_without_its_track_is_one_line_for_ns_train(demo: Walked, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(demo.data, data)
    (data / TRACK).unlink()
    result = run("ns-train", "dfa-nerf-lite", "--data", data, "--output-dir", tmp_path / "runs")
    assert result.returncode == 2
    assert [
        line for line in result.stderr.splitlines() if line.startswith("error: ")
    ] and "dfa-attributes" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@needs_clips
def test_a_real_clip_goes_the_whole_way(tmp_path: Path):
    """The clip of the benchmarks, cut to eight seconds; only that it works, figures are the benchmarks'."""
    cut = tmp_path / "cut.mp4"
    with av.open(str(CLIPS / "acosta_71s.mp4")) as source, av.open(str(cut), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and float(packet.dts * packet.time_base) < 8.0:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    walked = walk(tmp_path, cut, cut, steps=50)
    track = AttributeTrack.load(walked.data / TRACK)
    assert len(track) == pytest.approx(200, abs=10)  # the cut falls between key frames
    film = tmp_path / "talking.mp4"
    succeed("dfa-talk", "--load-config", walked.config, "--audio", cut, "--output", film)
    with av.open(str(film)) as container:
        assert container.streams.video[0].frames == np.ceil(len(read_audio(cut)) * 25 / SAMPLE_RATE)
