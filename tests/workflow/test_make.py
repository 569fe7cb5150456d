"""`dfa-make` and the Python API on the demo subject: what is skipped, resumed and refused; frames, files, progress."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import dfa_nerfstudio as dfa
from dfa_nerfstudio.data.dataset_folder import DatasetFolder, image_path
from dfa_nerfstudio.media.file_hash import file_sha256
from dfa_nerfstudio.media.images import read_image
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.talk.provenance import inspect_video
from dfa_nerfstudio.workflow.stage_records import StageRecords, recorded_options
from tests.pipeline_fixture import PipelineRun, refused, succeed

QUICK = ("--process.size", "64", "--attributes.step-multiplier", "0.1", "--attributes.no-progress")


@pytest.fixture(scope="module")
def made(demo: PipelineRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A person's folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("made") / "person"
    shutil.copytree(demo.data, folder / "data", copy_function=os.link)  # of the same commands
    records = StageRecords(folder)
    process = recorded_options(dfa.ProcessConfig(size=64)) | {"video": file_sha256(demo.clip)}
    records.start("process", process)
    records.finish("process")
    records.start("attributes", recorded_options(dfa.AttributesConfig(step_multiplier=0.1)))
    records.finish("attributes")
    return folder, succeed("dfa-make", demo.clip, "--output", folder, *QUICK, "--train.minutes", "0.1")


def test_a_second_command_renders_only_what_is_new(demo: PipelineRun, made: tuple[Path, str]):
    folder, first = made
    assert first.count("done already") == 2
    run = folder / "runs/dfa-nerf-lite/run"
    before = {path: path.stat().st_mtime_ns for path in (*run.glob("nerfstudio_models/*"), folder / "data/track.npz")}
    talk = ("--audio", demo.speech, "--video.end", "0.8")
    output = succeed("dfa-make", demo.clip, "--output", folder, *QUICK, "--train.minutes", "0.1", *talk)
    assert output.count("done already") == 3
    assert before == {path: path.stat().st_mtime_ns for path in before}
    attributes, person = dfa.AttributesConfig(step_multiplier=0.1), dfa.PersonFolder(folder)
    assert person.is_trained_with(attributes, dfa.TrainConfig(minutes=0.1))
    assert not person.is_trained_with(attributes, dfa.TrainConfig(minutes=0.2))
    talking = folder / "talking/speech.mp4"
    assert Video(talking).has_audio and inspect_video(talking).is_synthetic
    left, right = np.split(read_image(run / "preview.jpg").astype(float), 2, 1)
    valid = DatasetFolder.open(folder / "data").train_frames
    frame = read_image(image_path(folder / "data", int(valid[len(valid) // 2]))).astype(float)
    assert np.abs(left - frame).mean() < 3  # saved as JPEG twice
    assert right.std() > 5 and 0 < np.abs(left - right).mean() < np.abs(left - left.mean((0, 1))).mean()


def test_other_options_are_refused_by_name_and_replaced_on_demand(
    demo: PipelineRun, made: tuple[Path, str], tmp_path: Path
):
    folder, _ = made
    longer = ("dfa-make", demo.clip, "--output", folder, *QUICK, "--train.minutes", "0.2")
    assert "--train.minutes: 0.1, now 0.2" in refused(*longer)
    assert "--process.video" in refused("dfa-make", demo.speech, "--output", folder, *QUICK)
    (tmp_path / "notes.txt").touch()
    assert "contains other files" in refused("dfa-make", demo.clip, "--output", tmp_path)


def test_an_interrupted_training_goes_on_from_its_checkpoint(demo: PipelineRun, tmp_path: Path):
    config = dfa.TrainConfig(minutes=None, preview_seconds=0.5)

    def steps_until_interrupt() -> list[int]:
        seen: list[float] = []

        def interrupt(progress: dfa.Progress) -> None:
            seen.append(progress.fraction or 0)
            if len(seen) == 20:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt), dfa.progress_listener(interrupt):
            dfa.train(demo.data, tmp_path, config)
        return [round(8000 * fraction) for fraction in seen]

    assert [steps_until_interrupt(), steps_until_interrupt()] == [list(range(20)), list(range(20, 40))]


def test_frames_live_frames_and_the_file_show_the_same_person(demo: PipelineRun, tmp_path: Path):
    person = dfa.load(demo.folder)
    assert person.config == demo.config
    talking = person.talk(str(demo.speech), dfa.VideoConfig(end=0.4), dfa.MotionConfig(pose="still", blink="none"))
    frames = list(talking)
    assert len(frames) == talking.num_frames == 10
    assert frames[0].shape == (*reversed(talking.size), 3)
    talking.save(tmp_path / "talking.mp4")
    for frame, decoded in zip(frames, Video(tmp_path / "talking.mp4").frames(), strict=True):
        assert np.abs(frame.astype(float) - decoded.to_ndarray(format="rgb24")).mean() < 4  # H.264
    noise = np.random.default_rng(0).normal(0, 0.1, 6400).astype(np.float32)
    live = list(person.stream([noise[:1000], noise[1000:]], motion=dfa.MotionConfig(pose="still", blink="none")))
    assert len(live) == 10 and live[0].shape == frames[0].shape
    assert np.abs(live[0].astype(float) - frames[0]).mean() < 10


def test_the_library_raises_what_the_commands_print(demo: PipelineRun, tmp_path: Path):
    with pytest.raises(dfa.UserError, match="no such file or folder"):
        dfa.load(tmp_path / "nothing")
    with pytest.raises(dfa.UserError, match="contains no trained run"):
        dfa.load(demo.data)
    with pytest.raises(dfa.UserError, match="not installed; there are"):
        dfa.train(demo.data, tmp_path, dfa.TrainConfig(method="nothing"))


def test_progress_covers_processing_training_and_rendering(demo: PipelineRun, tmp_path: Path):
    stages: dict[str, list[float]] = {}
    with dfa.progress_listener(lambda progress: stages.setdefault(progress.stage, []).append(progress.fraction or 0)):
        dfa.process(demo.clip, tmp_path / "data", dfa.ProcessConfig(size=32))
        dfa.load(demo.config).talk(demo.speech, dfa.VideoConfig(end=0.4)).save(tmp_path / "talking.mp4")
    for stage in ("face and person", "head and torso", "rendering"):
        assert stages[stage][-1] == pytest.approx(1.0) and stages[stage] == sorted(stages[stage]), stage
