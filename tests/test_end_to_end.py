"""The whole pipeline at small size by the commands that a user types, and the input that they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.nerf.checkpoint_check import newest_readable_checkpoint
from tests.conftest import CLIPS, needs_clips
from tests.pipeline_fixture import PipelineRun, refused, run, succeed


def test_a_model_trained_on_features_from_a_file_requires_them_for_new_audio(demo: PipelineRun, tmp_path: Path):
    generator, video = np.random.default_rng(0), tmp_path / "talking.mp4"
    num_frames = int(np.ceil(len(read_audio(demo.speech)) * FRAME_RATE / SAMPLE_RATE))
    for name, count in (("clip", 200), ("speech", num_frames)):
        np.save(tmp_path / f"{name}.npy", generator.normal(size=(count, 2, 3)))
    runs = ("--output-dir", tmp_path / "runs", "--experiment-name", "test", "--timestamp", "run")
    options = ("--vis", "tensorboard", "--max-num-iterations", "3")
    features = ("dfa-data", "--mouth", tmp_path / "clip.npy")
    succeed("ns-train", "dfa-nerf-lite", "--data", demo.data, *runs, *options, *features)
    arguments = ("--load-config", tmp_path / "runs/test/dfa-nerf-lite/run/config.yml", "--audio", demo.speech)
    arguments = (*arguments, "--output", video)
    assert "give this audio's features with --audio-features" in refused("dfa-talk", *arguments)
    message = refused("dfa-talk", *arguments, "--audio-features", tmp_path / "clip.npy")
    assert "clip.npy: 200 rows for 156 frames" in message and not video.exists()
    succeed("dfa-talk", *arguments, "--audio-features", tmp_path / "speech.npy")
    with av.open(str(video)) as container:
        assert container.streams.video[0].frames == 156
    other = ("--load-config", demo.config, "--audio", demo.speech, "--output", video)
    assert "leave out --audio-features" in refused("dfa-talk", *other, "--audio-features", tmp_path / "speech.npy")


def test_unusable_speech_is_refused(demo: PipelineRun, tmp_path: Path):
    output = tmp_path / "talking.mp4"
    arguments = ("--load-config", demo.config, "--output", output, "--audio")
    files = {
        "empty.wav": (np.zeros(0, np.float32), "no audio, or none between --start and --end"),
        "silent.wav": (np.zeros(SAMPLE_RATE, np.float32), "silent throughout; give speech"),
        "short.wav": (np.full(1000, 0.5, np.float32), "shorter than one window"),
    }
    for name, (samples, reason) in files.items():
        write_wav(tmp_path / name, samples)
        message = refused("dfa-talk", *arguments, tmp_path / name)
        assert name in message and reason in message
    assert "no such file" in refused("dfa-talk", *arguments, tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("this is not audio")
    assert "text.wav" in refused("dfa-talk", *arguments, tmp_path / "text.wav")
    samples = np.sin(np.arange(2 * SAMPLE_RATE)).astype(np.float32)
    samples[SAMPLE_RATE] = np.nan
    wavfile.write(tmp_path / "nan.wav", SAMPLE_RATE, samples)
    message = refused("dfa-talk", *arguments, tmp_path / "nan.wav")
    assert "nan.wav: its audio holds numbers that are not finite" in message
    assert not output.exists() and not list(tmp_path.glob(".*partial*"))


def test_unusable_models_are_refused(demo: PipelineRun, tmp_path: Path):
    arguments = ("--audio", demo.speech, "--output", tmp_path / "talking.mp4", "--load-config")
    assert "no such file" in refused("dfa-talk", *arguments, tmp_path / "config.yml")
    (tmp_path / "config.yml").write_text("not: a run")
    assert "not the config.yml" in refused("dfa-talk", *arguments, tmp_path / "config.yml")
    shutil.copy(demo.config, tmp_path / "config.yml")
    assert "no checkpoint" in refused("dfa-talk", *arguments, tmp_path / "config.yml", "--data", demo.data)

    models = demo.data / MODELS_FILE_NAME
    whole = models.read_bytes()
    try:
        models.write_bytes(whole[: len(whole) // 2])
        assert MODELS_FILE_NAME in refused("dfa-talk", *arguments, demo.config)
        models.unlink()
        assert MODELS_FILE_NAME in refused("dfa-talk", *arguments, demo.config)
    finally:
        models.write_bytes(whole)

    run_folder = Path(shutil.copytree(demo.config.parent, tmp_path / "run"))
    checkpoint = newest_readable_checkpoint(run_folder / "nerfstudio_models")
    state = torch.load(checkpoint, weights_only=True)
    weights = {name: values for name, values in state["pipeline"].items() if name.startswith("_model.network.")}
    name, weight = next((name, values) for name, values in weights.items() if values.is_floating_point())
    weight.view(-1)[0] = torch.nan
    torch.save(state, checkpoint)
    message = refused("dfa-talk", *arguments, run_folder / "config.yml", "--data", demo.data)
    assert f"{checkpoint}: pipeline.{name} holds numbers that are not finite" in message
    assert not (tmp_path / "talking.mp4").exists()


def test_a_folder_without_its_track_is_one_line_for_ns_train(demo: PipelineRun, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(demo.data, data)
    (data / TRACK).unlink()
    result = run("ns-train", "dfa-nerf-lite", "--data", data, "--output-dir", tmp_path / "runs")
    assert result.returncode == 2
    assert [
        line for line in result.stderr.splitlines() if line.startswith("error: ")
    ] and "dfa-attributes" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
@needs_clips
def test_a_real_clip_goes_through_the_whole_pipeline(tmp_path: Path):
    """Uses eight seconds of the benchmarks' clip; checks that it works, since the benchmarks measure quality."""
    cut = tmp_path / "cut.mp4"
    with av.open(str(CLIPS / "acosta_71s.mp4")) as source, av.open(str(cut), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and float(packet.dts * packet.time_base) < 8.0:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    folder = tmp_path / "person"
    quick = ("--process.size", "64", "--attributes.step-multiplier", "0.1", "--train.minutes", "0.05")
    succeed("dfa-make", cut, "--audio", cut, "--output", folder, *quick)
    track = AttributeTrack.load(folder / "data" / TRACK)
    assert len(track) == pytest.approx(200, abs=10)  # cut between key frames
    with av.open(str(folder / "talking/cut.mp4")) as container:
        assert container.streams.video[0].frames == np.ceil(len(read_audio(cut)) * FRAME_RATE / SAMPLE_RATE)
