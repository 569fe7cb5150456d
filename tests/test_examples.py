"""The examples and the notebook, run in this process on the demo subject at small size: files, frames and output."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import tyro

import dfa_nerfstudio as dfa
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.data.audio_features import AUDIO_FEATURES, AudioSource
from dfa_nerfstudio.evaluation import metric_registry
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.images import write_image
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.talk.provenance import inspect_video
from tests.docs.pages import fenced_lines
from tests.pipeline_fixture import PipelineRun

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "first_model.ipynb"
END = 0.4
"""Seconds of audio that are rendered: ten frames."""


def load_example(name: str) -> ModuleType:
    """The module of an example, whose name begins with a number and cannot be imported."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frames_of(path: Path) -> np.ndarray:
    """The frames of a video, [T, H, W, 3], 0 to 255."""
    return np.stack([to_rgb(frame) for frame in Video(path).frames()]).astype(float)


@pytest.fixture(scope="module")
def words(demo: PipelineRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the demo subject's speech, `END` seconds of it."""
    path = tmp_path_factory.mktemp("audio") / "words.wav"
    write_wav(path, read_audio(demo.speech)[: round(END * SAMPLE_RATE)])
    return path


@pytest.fixture(scope="module")
def processed(demo: PipelineRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `data` is processed; further files are written into it."""
    folder = tmp_path_factory.mktemp("person")
    shutil.copytree(demo.data, folder / "data")
    return folder


@pytest.fixture
def own_metrics() -> Iterator[None]:
    """Removes metrics again that a test registers."""
    metric_registry.metric_infos()  # registers the package's own
    with (
        mock.patch.object(metric_registry, "_image_metrics", list(metric_registry._image_metrics)),
        mock.patch.object(metric_registry, "_video_metrics", list(metric_registry._video_metrics)),
    ):
        yield


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_says_what_it_shows_and_how_it_is_run(path: Path) -> None:
    text = path.read_text()
    assert re.match(rf'"""[A-Z][^\n]+: [^\n]+\.\n\nExample:\n    python examples/{path.name}', text)
    assert text.endswith('\n\nif __name__ == "__main__":\n    tyro.cli(main)\n')


def test_first_model(demo: PipelineRun, words: Path, processed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load_example("01_first_model")
    example.main(demo.clip, words, processed, size=64, minutes=0.02)
    assert len(frames_of(processed / "talking.mp4")) == 10 and inspect_video(processed / "talking.mp4").is_synthetic
    printed = capsys.readouterr().out
    assert "training the renderer 100%" in printed and "rendering 100%" in printed and "10 frames" in printed


def test_first_model_processes_the_video_first(processed: Path, tmp_path: Path) -> None:
    calls: list[tuple[Path, Path, int]] = []

    class Enough(Exception):
        """Raised in the place of processing, which takes long."""

    def process(video: Path, output: Path, config: dfa.ProcessConfig) -> None:
        calls.append((video, output, config.size))
        raise Enough

    with mock.patch.object(dfa, "process", process), pytest.raises(Enough):
        load_example("01_first_model").main(Path("me.mp4"), Path("speech.wav"), tmp_path, size=96)
    assert calls == [(Path("me.mp4"), tmp_path / "data", 96)]


def test_another_voice(demo: PipelineRun, words: Path, tmp_path: Path) -> None:
    load_example("02_another_voice").main(demo.config, (words,), tmp_path)
    videos = {kind: frames_of(tmp_path / f"words_{kind}.mp4") for kind in ("generated", "calm", "still")}
    assert {len(frames) for frames in videos.values()} == {10}
    assert np.abs(videos["generated"] - videos["still"]).mean() > 0.5


def test_streaming_from_a_file(demo: PipelineRun, words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_example("03_streaming_from_a_microphone").main(demo.config, wav=words)
    found = re.search(r"10 frames in ([\d.]+) s", capsys.readouterr().out)
    assert found and float(found.group(1)) >= END


def test_streaming_from_a_microphone() -> None:
    class InputStream:
        """A microphone that gives three blocks at once when it is opened."""

        def __init__(self, samplerate, blocksize, channels, dtype, callback) -> None:
            assert (samplerate, channels, dtype) == (SAMPLE_RATE, 1, "float32")
            self.blocks, self.callback = np.ones((3, blocksize, channels), np.float32), callback

        def __enter__(self) -> None:
            for block in self.blocks:
                self.callback(block, len(block), None, None)
                block[:] = 0  # PortAudio uses its buffer again

        def __exit__(self, *_: object) -> None:
            pass

    package = types.ModuleType("sounddevice")
    package.InputStream = InputStream  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, sounddevice=package):
        chunks = list(load_example("03_streaming_from_a_microphone").listen(0.12))
    assert np.array_equal(chunks, np.ones((3, 640)))


def test_custom_background(demo: PipelineRun, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "beach.png", np.full((50, 90, 3), (200, 180, 90), np.uint8))
    load_example("04_custom_background").main(demo.config, words, tmp_path / "beach.png", tmp_path)
    for name, colour in (("image", (200, 180, 90)), ("colour", (0x20, 0xA0, 0xFF))):
        frames = frames_of(tmp_path / f"{name}.mp4")
        assert len(frames) == 10
        assert np.abs(frames[:, :4, :4].mean((0, 1, 2)) - colour).max() < 12, name  # a corner; H.264
    found = re.search(r"covers (\d+)%", capsys.readouterr().out)
    assert found and 10 < int(found.group(1)) < 90
    assert Video(tmp_path / "transparent.webm").has_audio


def test_own_audio_feature(demo: PipelineRun, tmp_path: Path) -> None:
    shutil.copytree(demo.data, tmp_path / "data")
    with mock.patch.dict(AUDIO_FEATURES):
        example = load_example("05_own_audio_feature")
        tone = np.sin(2 * np.pi * 1500 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
        rows = torch.cat(list(example.BandLoudness().stream(AudioSource([tone[:5000], tone[5000:]], []))))
        assert rows.shape == (25, 8) and (rows.argmax(1) == 1).all()  # 1 to 2 kHz
        example.main(tmp_path / "data", step_multiplier=0.02)
    assert "band_loudness" in AttributeModels.load(tmp_path / "data" / MODELS_FILE_NAME).sizes["speech_kind"]


def test_own_metric(demo: PipelineRun, own_metrics: None, capsys: pytest.CaptureFixture[str]) -> None:
    load_example("06_own_metric").main(demo.config)
    colour, flicker, truth = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out)[-3:])
    assert 0 < colour < 0.1 and 0 < flicker < 3 * truth


def test_batch(demo: PipelineRun, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load_example("07_batch_on_ray")
    example.main(demo.config, (words.parent,), tmp_path, jobs=1)
    assert len(frames_of(tmp_path / "words.mp4")) == 10 and "0 failed" in capsys.readouterr().out
    line = ["--run", str(demo.config), "--audio", str(words), "--output", str(tmp_path), "--backend", "ray"]
    with mock.patch.object(dfa, "render_batch", return_value=0) as render:
        tyro.cli(example.main, args=line)
    assert render.call_args.kwargs["jobs"] == dfa.JobsConfig(0, "ray")


def test_attribute_edits(demo: PipelineRun, tmp_path: Path) -> None:
    load_example("08_attribute_edits").main(demo.config, tmp_path / "edited.mp4", num_frames=4)
    assert inspect_video(tmp_path / "edited.mp4").is_synthetic
    parts = np.split(frames_of(tmp_path / "edited.mp4"), 4, axis=2)
    assert parts[0].shape == (4, 64, 64, 3)
    change = [np.abs(part - parts[0]).mean() for part in parts]
    assert change[2] > 2 * change[1] > 0  # turning the head changes more than closing the eyes


def test_evaluate(demo: PipelineRun, capsys: pytest.CaptureFixture[str]) -> None:
    load_example("09_evaluate").main((demo.config,))
    printed = capsys.readouterr().out
    found = re.search(r"PSNR, dB: ([\d.]+)", printed)
    assert found and float(found.group(1)) > 15
    assert "note: LPIPS" in printed


def test_the_node_for_comfyui(demo: PipelineRun, words: Path) -> None:
    """The code of the page, called as ComfyUI would call it."""
    page = EXAMPLES.parent / "docs/integrations.md"
    code = [line for _, language, line in fenced_lines(page) if language == "python"]
    namespace: dict[str, Any] = {}
    exec("\n".join(code), namespace)
    node = namespace["NODE_CLASS_MAPPINGS"]["DFATalkingHead"]
    audio = {"waveform": torch.from_numpy(read_audio(words))[None, None].repeat(1, 2, 1), "sample_rate": SAMPLE_RATE}
    assert node.INPUT_TYPES()["required"].keys() == {"audio", "run", "seed"}
    frames, fps = getattr(node(), node.FUNCTION)(audio, str(demo.config), 0)
    assert frames.shape == (10, 64, 64, 3) and frames.dtype == torch.float32 and 0 <= frames.min() < frames.max() <= 1
    assert fps == 25


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4 and {"kernelspec", "language_info"} <= notebook["metadata"].keys()
    for cell in notebook["cells"]:
        assert {"cell_type", "metadata", "source"} <= cell.keys()
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_the_cells_of_the_notebook_run_in_order(
    demo: PipelineRun, words: Path, processed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, Any] = {}
    settings = {"VIDEO": str(demo.clip), "AUDIO": str(words), "OUTPUT": str(processed), "SIZE": 64, "MINUTES": 0.02}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
            if "parameters" in cell["metadata"].get("tags", ()):
                assert settings.keys() <= namespace.keys()
                namespace |= settings
    assert len(frames_of(processed / "talking.mp4")) == 10
    assert np.shape(namespace["first"]) == (64, 64, 3)
    assert "rendering 100%" in capsys.readouterr().out
