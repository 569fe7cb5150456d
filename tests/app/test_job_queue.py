"""The app's jobs in processes of their own: order, failure in words, cancelling, and a restart of the server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dfa_nerfstudio.app.app_config import AppConfig
from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.job_record import JobRecord
from dfa_nerfstudio.app.job_work import ATTRIBUTE_SECONDS, PROCESS_SECONDS, _ProgressWriter
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.app.status_panel import status_html
from dfa_nerfstudio.errors import UserError
from tests.pipeline_fixture import PipelineRun


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "people")


def test_jobs_run_in_order_fail_in_words_and_survive_a_restart(demo: PipelineRun, library: Library):
    library.store_video("Ada", demo.speech)  # audio alone
    library.store_video("Bob", demo.clip)
    queue = JobQueue(library.path)
    options = {"size": 128, "person": "speaking", "camera": "static"}
    bad, good = queue.add("Ada", "process", options), queue.add("Bob", "process", options)
    waiting = queue.add("Bob", "learn", {"minutes": 1.0, "step_multiplier": 0.1})
    assert "1 before it" in status_html(queue, good) or good.state == "running"
    queue.cancel(waiting.id)
    wait_for(lambda: bad.state == "failed")
    assert "source.wav" in bad.message and "--" not in bad.message and "Traceback" not in bad.message
    assert "not possible" in status_html(queue, bad)
    wait_for(lambda: queue.progress(good).fraction > 0.05)
    queue.close()  # in the middle of the work
    assert good.state == "waiting" and waiting.state == "cancelled"
    assert not (library.person("Bob").data / "transforms.json").exists()
    again = JobQueue(library.path)
    restarted = again.latest("Bob", "process")
    assert restarted is not None and restarted.id == good.id
    wait_for(lambda: restarted.state == "running" and again.progress(restarted).fraction > 0.05)
    again.cancel(restarted.id)
    wait_for(lambda: again._running is None)
    assert restarted.state == "cancelled" and not list(library.person("Bob").path.glob("data/.partial"))
    again.close()
    assert [job.state for job in JobQueue(library.path).jobs("Bob")] == ["cancelled", "cancelled"]


def test_a_damaged_job_file_is_left_out(library: Library):
    JobRecord("Ada", "talk", state="done").save(library.path)
    (library.path / ".jobs/0.json").write_text("{")
    (library.path / ".jobs/1.json").write_text('{"other": 1}')
    assert [job.person for job in JobQueue(library.path).jobs()] == ["Ada"]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\nb", "x" * 61, "-"])
def test_names_never_leave_the_library(library: Library, name: str):
    with pytest.raises(UserError, match="give a name"):
        library.person(name)


def test_uploads_get_safe_names_in_the_persons_folder(library: Library, tmp_path: Path):
    upload = tmp_path / "my; speech (1).WAV"
    upload.write_bytes(b"RIFF")
    first, second = library.store_upload("Ada Ω", upload), library.store_upload("Ada Ω", upload)
    folder = library.path / "Ada Ω/uploads"
    assert [first, second] == [folder / "my_speech_1_01.wav", folder / "my_speech_1_02.wav"]
    library.delete("Ada Ω")
    assert library.names() == [] and not folder.exists()
    shutil.rmtree(library.path)


@pytest.mark.parametrize("options", [{"port": 70000}, {"max_upload_mb": 0}, {"token": "short"}])
def test_options_that_cannot_be_are_refused(options: dict[str, object]):
    with pytest.raises(UserError, match=f"`{next(iter(options))}"):
        AppConfig(**options)  # type: ignore[arg-type]


def test_the_time_left_counts_the_stages_to_come(library: Library):
    learn = _ProgressWriter(library.path, JobRecord("Ada", "learn", {"minutes": 3.0, "step_multiplier": 2.0}))
    total = 2 * sum(ATTRIBUTE_SECONDS.values()) + 180
    start = learn.start
    fraction, left = learn._whole_job("autoencoder", 0.5, start + 15)  # slower than usual: 20 s of 30 s
    assert fraction == pytest.approx(10 / total) and left == pytest.approx(15 + total - 20)
    learn.stage_start = start + 200
    assert learn._whole_job("training the renderer", 0.25, start + 260)[1] == pytest.approx(180)
    process = _ProgressWriter(library.path, JobRecord("Ada", "process", {}))
    process.stage_start = process.start + 13
    usual = sum(PROCESS_SECONDS.values())
    before = PROCESS_SECONDS["scanning"] + PROCESS_SECONDS["camera"]
    fraction, left = process._whole_job("face and person", 0.5, process.start + 13 + 48)  # twice as slow as usual
    done = before + PROCESS_SECONDS["face and person"] / 2
    assert fraction == pytest.approx(done / usual)
    assert left == pytest.approx(48 + (usual - before - PROCESS_SECONDS["face and person"]) * 61 / done)
    assert process._whole_job("audio", 0.5, process.start + 1) == (0.0, -1.0)
