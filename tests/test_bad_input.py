"""Bad input to every command: one line that names it, exit code 2, no traceback, and nothing changed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.media.audio import write_wav
from tests.media.test_audio_video import counting_frames
from tests.pipeline_fixture import PipelineRun, run
from tests.preprocessing.conftest import write_clip

PROCESS = "dfa-process {clip} --output {out}"
TALK = "dfa-talk --load-config {config} --audio {speech} --output {out}.mp4"
ATTRIBUTES = "dfa-attributes {data}"
EVAL = "dfa-eval --load-config {config} --output {out}"

CASES: list[tuple[str, str]] = [
    # dfa-process: files
    ("dfa-process {bad}/none.mp4 --output {out}", "none.mp4: no such file"),
    ("dfa-process {bad}/text.mp4 --output {out}", "text.mp4: not a video"),
    ("dfa-process {bad}/empty.mp4 --output {out}", "empty.mp4: not a video"),
    ("dfa-process {bad}/cut10.mp4 --output {out}", "cut10.mp4: not a video"),
    ("dfa-process {bad}/cut1000.mp4 --output {out}", "cut1000.mp4: not a video"),
    ("dfa-process {bad}/cut50000.mp4 --output {out}", "cut50000.mp4: only 1.0 s long"),
    ("dfa-process {bad}/half.mkv --output {out}", "half.mkv: "),
    ("dfa-process {bad}/start.mkv --output {out}", "start.mkv: "),
    ("dfa-process {speech} --output {out}", "not a video"),
    ("dfa-process {bad}/mute.mkv --output {out}", "mute.mkv: has no audio stream"),
    ("dfa-process {bad}/silent.mkv --output {out}", "silent throughout"),
    ("dfa-process {bad}/faceless.mkv --output {out}", "faceless.mkv: no face found"),
    ("dfa-process {bad}/short.mkv --output {out}", "short.mkv: only 0.4 s long"),
    ("dfa-process {bad}/folder --output {out}", "contains no video"),
    (f"{PROCESS} --face-landmarker {{bad}}/none.task", "none.task: cannot be read"),
    (f"{PROCESS} --face-landmarker {{bad}}/text.mp4", "text.mp4: not a face landmarker"),
    (f"{PROCESS} --morphable-model {{bad}}/none.npz", "none.npz"),
    (f"{PROCESS} --morphable-model {{bad}}/text.npz", "text.npz"),
    # dfa-process: options and places
    (f"{PROCESS} --size 31", "--size 31"),
    (f"{PROCESS} --size 0", "--size 0"),
    (f"{PROCESS} --size -64", "--size -64"),
    (f"{PROCESS} --held-out 0.9", "--held-out 0.9"),
    (f"{PROCESS} --held-out nan", "--held-out nan"),
    (f"{PROCESS} --num-expressions 0", "--num-expressions 0"),
    (f"{PROCESS} --smoothing -1", "--smoothing -1"),
    (f"{PROCESS} --smoothing nan", "--smoothing nan"),
    (f"{PROCESS} --audio-track 0", "--audio-track 0"),
    (f"{PROCESS} --audio-track 7", "has 1 audio tracks; --audio-track 7"),
    (f"{PROCESS} --jobs -1", "--jobs -1"),
    ("dfa-process {clip} --output {bad}/text.mp4", "text.mp4: is a file"),
    ("dfa-process {clip} --output {bad}/text.mp4/out", "cannot be written"),
    ("dfa-process {clip} --output /proc/nowhere/out", "cannot be written"),
    ("dfa-process {clip} --output {bad}/folder", "contains other files"),
    ("dfa-process {clip} --output {data}", "contains a dataset"),
    # dfa-attributes
    ("dfa-attributes {bad}/none", "no such folder"),
    ("dfa-attributes {bad}/folder", "transforms.json"),
    ("dfa-attributes {bad}/text.mp4", "text.mp4"),
    ("dfa-attributes {bad}/cut_transforms", "transforms.json"),
    ("dfa-attributes {bad}/empty_transforms", "transforms.json"),
    ("dfa-attributes {bad}/list_transforms", "transforms.json"),
    ("dfa-attributes {bad}/no_attributes", "attributes.npz"),
    ("dfa-attributes {bad}/cut_attributes", "attributes.npz"),
    ("dfa-attributes {bad}/nan_attributes", "not finite"),
    ("dfa-attributes {bad}/no_audio", "audio.wav"),
    (f"{ATTRIBUTES} --step-multiplier 0", "--step-multiplier 0"),
    (f"{ATTRIBUTES} --step-multiplier nan", "--step-multiplier nan"),
    (f"{ATTRIBUTES} --pretrained {{bad}}/none.pt", "none.pt"),
    (f"{ATTRIBUTES} --pretrained {{bad}}/text.pt", "text.pt"),
    (f"{ATTRIBUTES} --pretrained {{bad}}/cut.pt", "cut.pt"),
    (f"{ATTRIBUTES} --more {{bad}}/none", "none"),
    ("dfa-attributes pretrain {data} --output {out}.pt", "1 recording"),
    ("dfa-attributes pretrain {bad}/none --output {out}.pt", "contains no dataset folder"),
    ("dfa-attributes pretrain {data} --output {out}.pt --validation 1.5", "--validation 1.5"),
    ("dfa-attributes inspect {bad}/none", "none"),
    # dfa-talk
    ("dfa-talk", "--load-config"),
    ("dfa-talk --load-config {bad}/none.yml --audio {speech} --output {out}.mp4", "none.yml: no such file"),
    ("dfa-talk --load-config {bad}/text.yml --audio {speech} --output {out}.mp4", "text.yml: not the config.yml"),
    ("dfa-talk --load-config {config} --audio {bad}/none.wav --output {out}.mp4", "none.wav: no such file"),
    ("dfa-talk --load-config {config} --audio {bad}/text.mp4 --output {out}.mp4", "text.mp4: not a readable audio"),
    ("dfa-talk --load-config {config} --audio {bad}/mute.mkv --output {out}.mp4", "mute.mkv: has no audio stream"),
    ("dfa-talk --load-config {config} --audio {bad}/folder --output {out}", "no audio files"),
    ("dfa-talk --load-config {config} --audio {speech} --output {out}.txt", ".txt"),
    ("dfa-talk --load-config {config} --audio {speech} --output {speech}", "wav"),
    ("dfa-talk --load-config {config} --audio {clip} --output {clip}", "is an input too"),
    ("dfa-talk --load-config {config} --audio {speech} --output /proc/nowhere/out.mp4", "cannot be written"),
    ("dfa-talk --load-config {config} --audio {speech} --output {bad}/folder.mp4", "is a folder"),
    (f"{TALK} --data {{bad}}/none", "none"),
    (f"{TALK} --size 4", "--size 4"),
    (f"{TALK} --fps 0", "--fps 0"),
    (f"{TALK} --fps nan", "--fps nan"),
    (f"{TALK} --start -1", "--start -1"),
    (f"{TALK} --start 5 --end 1", "--start 5"),
    (f"{TALK} --start 100000", "between --start and --end"),
    (f"{TALK} --audio-track 3", "--audio-track 3"),
    (f"{TALK} --background {{bad}}/none.png", "none.png"),
    (f"{TALK} --background nocolour", "nocolour"),
    (f"{TALK} --background transparent", "transparent"),
    (f"{TALK} --paste {{bad}}/none.mp4", "none.mp4"),
    (f"{TALK} --paste {{bad}}/faceless.mkv", "faceless.mkv: the portrait was cropped from"),
    (f"{TALK} --pose {{bad}}/none.npz", "none.npz"),
    (f"{TALK} --pose {{bad}}/text.npz", "text.npz"),
    (f"{TALK} --pose nowhere", "nowhere"),
    (f"{TALK} --blink -3", "--blink -3"),
    (f"{TALK} --temperature -1", "--temperature -1"),
    (f"{TALK} --temperature nan", "--temperature nan"),
    (f"{TALK} --mouth-amplitude 9", "--mouth-amplitude 9"),
    (f"{TALK} --lip-projection 2", "--lip-projection 2"),
    (f"{TALK} --smooth-lips -1", "--smooth-lips -1"),
    (f"{TALK} --audio-features {{bad}}/nan.npy", "--audio-features"),
    (f"{TALK} --pcm-rate 10", "--pcm-rate 10"),
    (f"{TALK} --live --listen 70000", "--listen 70000"),
    ("dfa-talk --inspect {bad}/none.mp4", "none.mp4"),
    ("dfa-talk --inspect {bad}/text.mp4", "text.mp4"),
    # dfa-eval
    ("dfa-eval", "--load-config"),
    ("dfa-eval --load-config {bad}/none.yml", "none.yml: no such file"),
    ("dfa-eval --video {bad}/text.mp4 --reference {clip} --output {out}", "text.mp4: not a video"),
    ("dfa-eval --video {clip} --output {out}", "--reference"),
    ("dfa-eval --video {clip} --reference {bad}/short.mkv --mismatch refuse --output {out}", "--mismatch align"),
    (f"{EVAL} --speech {{bad}}/none.wav", "none.wav"),
    (f"{EVAL} --lpips-weights {{bad}}/text.pt", "text.pt"),
    (f"{EVAL} --syncnet-weights {{bad}}/text.pt", "text.pt"),
    (f"{EVAL} --sync-encoders {{bad}}/text.pt", "text.pt"),
    ("dfa-eval compare {bad}/none", "none"),
    ("dfa-eval compare {bad}/text.json", "text.json"),
    ("dfa-eval ablate {bad}/none", "none"),
    ("dfa-eval ablate {data} --minutes 0", "--minutes 0"),
    ("dfa-eval ablate {data} --only nothing", "--only nothing"),
    ("dfa-eval ablate {data} --reference-clips {bad}/none", "none"),
    ("dfa-eval ablate {data} --video {bad}/none.mp4", "none.mp4"),
    ("dfa-eval study a={bad}/none --output {out}.html", "none"),
    ("dfa-eval mos {bad}/none.json {bad}/text.json", "none.json"),
    # others
    ("dfa-morphable-model {data} --output {out}.npz", "only"),
    ("dfa-morphable-model {bad}/none --output {out}.npz", "none"),
    ("dfa-import {bad}/none", "none"),
    ("dfa-import {bad}/folder", "folder"),
    ("dfa-viewer --load-config {bad}/none.yml", "none.yml: no such file"),
    ("dfa-viewer --load-config {config} --port -1", "--port -1"),
    ("ns-train dfa-nerf-lite --data {bad}/none --vis tensorboard", "none"),
    ("ns-train dfa-nerf-lite --data {bad}/cut_transforms --vis tensorboard", "transforms.json"),
    ("ns-train dfa-nerf-lite --data {bad}/no_track --vis tensorboard", "dfa-attributes"),
    ("ns-train dfa-nerf-lite --data {bad}/cut_track --vis tensorboard", "track.npz"),
    ("ns-train dfa-nerf-lite --data {data} --vis tensorboard dfa-data --mouth {bad}/nan.npy", "nan.npy"),
    ("ns-train dfa-nerf-lite --data {data} --vis tensorboard --load-dir {bad}/folder", "no checkpoint"),
]


@pytest.fixture(scope="module")
def bad(demo: PipelineRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of unusable files, made from the demo subject's."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("text.mp4", "text.yml", "text.npz", "text.pt", "text.json"):
        (folder / name).write_text("this is a text")
    (folder / "empty.mp4").touch()
    video = demo.clip.read_bytes()
    for size in (10, 1000, 50_000):
        (folder / f"cut{size}.mp4").write_bytes(video[:size])
    (folder / "folder").mkdir()
    (folder / "folder.mp4").mkdir()
    (folder / "folder/notes.txt").write_text("not yours")
    np.save(folder / "nan.npy", np.full((200, 4), np.nan))
    write_wav(folder / "silent.wav", np.zeros(16_000, np.float32))
    frames, noise = counting_frames(75), np.random.default_rng(0).normal(0, 0.1, 48_000)
    write_clip(folder / "mute.mkv", frames)
    write_clip(folder / "silent.mkv", frames, audio=np.zeros(48_000))
    write_clip(folder / "faceless.mkv", frames, audio=noise)
    write_clip(folder / "short.mkv", frames[:10], audio=noise[:6400])
    matroska = (folder / "faceless.mkv").read_bytes()
    (folder / "half.mkv").write_bytes(matroska[: len(matroska) // 2])
    (folder / "start.mkv").write_bytes(matroska[:300])
    models = (demo.data / "attribute_models.pt").read_bytes()
    (folder / "cut.pt").write_bytes(models[: len(models) // 2])
    for name, file, content in (
        ("cut_transforms", "transforms.json", (demo.data / "transforms.json").read_bytes()[:3000]),
        ("empty_transforms", "transforms.json", b"{}"),
        ("list_transforms", "transforms.json", b"[1, 2]"),
        ("no_attributes", "attributes.npz", None),
        ("cut_attributes", "attributes.npz", (demo.data / "attributes.npz").read_bytes()[:5000]),
        ("no_audio", "audio.wav", None),
        ("no_track", "track.npz", None),
        ("cut_track", "track.npz", (demo.data / "track.npz").read_bytes()[:500]),
    ):
        shutil.copytree(demo.data, folder / name)
        if content is None:
            (folder / name / file).unlink()
        else:
            (folder / name / file).write_bytes(content)
    shutil.copytree(demo.data, folder / "nan_attributes")
    with np.load(demo.data / "attributes.npz") as stored:
        arrays = dict(stored)
    arrays["eye_opening"][3] = np.nan
    np.savez(folder / "nan_attributes/attributes.npz", **arrays)
    return folder


def contents(*folders: Path) -> dict[str, str]:
    """Hash of each file below the folders."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("command", list(dict.fromkeys(case.split()[0] for case, _ in CASES)))
def test_bad_input_ends_in_one_line(
    command: str, demo: PipelineRun, bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {name: getattr(demo, name) for name in ("clip", "config", "data", "speech")}
    before, wrong = contents(demo.data, demo.config.parent, bad, demo.clip.parent), list[str]()
    for number, (line, words) in enumerate(CASES):
        if line.split()[0] != command:
            continue
        output = tmp_path / f"out{number}"
        result = run(*(part.format(**places, bad=bad, out=output) for part in line.split()))
        errors = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
        if result.returncode != 2 or len(errors) != 1 or words not in errors[0] or "Traceback" in result.stderr:
            wrong.append(f"{line}\n    {result.returncode}: {errors or result.stderr[-600:]}; expected: {words}")
        if left := [path.name for path in tmp_path.iterdir() if path.name.startswith((f"out{number}", "."))]:
            wrong.append(f"{line}\n    left {left}")
    assert not wrong, "\n".join(wrong)
    assert contents(demo.data, demo.config.parent, bad, demo.clip.parent) == before
