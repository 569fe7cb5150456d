"""Outputs appear complete, in the place that was named, one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfa_nerfstudio.atomic_write import (
    atomic_folder,
    atomic_write,
    check_not_input,
    discard_partial,
    discard_partial_files,
    has_other_content,
)
from dfa_nerfstudio.errors import UserError


def write_folder(folder: Path, content: str) -> None:
    with atomic_folder(folder, last="z.txt") as partial:
        for name in ("a.txt", "z.txt"):
            (partial / name).write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_complete_files_only(tmp_path: Path) -> None:
    final = tmp_path / "new" / "file.txt"
    with pytest.raises(RuntimeError), atomic_write(final) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert names(final.parent) == []
    with atomic_write(final) as partial:
        partial.write_text("complete")
        assert not final.exists()
    assert final.read_text() == "complete" and names(final.parent) == ["file.txt"]


def test_a_folder_that_exists_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    inode = real.stat().st_ino
    write_folder(link, "one")
    (real / "old").mkdir()
    assert link.is_symlink() and real.stat().st_ino == inode and names(real) == ["a.txt", "old", "z.txt"]
    monkeypatch.chdir(real)
    write_folder(Path(), "two")
    assert real.stat().st_ino == inode and names(real) == ["a.txt", "z.txt"]
    assert (real / "a.txt").read_text() == "two"
    (real / ".partial" / "half").mkdir(parents=True)  # a killed process leaves this
    with pytest.raises(RuntimeError), atomic_folder(real, last="z.txt") as partial:
        assert names(partial) == []
        raise RuntimeError
    assert names(real) == ["a.txt", "z.txt"]


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_write(link) as partial:
        partial.write_text("new")
    assert link.is_symlink() and real.read_text() == "new"


def test_a_second_process_is_refused_at_once_and_a_killed_one_forgotten(tmp_path: Path) -> None:
    final = tmp_path / "talking.mp4"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom dfa_nerfstudio.atomic_write import atomic_write\n"
        f"with atomic_write(Path({str(final)!r})) as partial:\n"
        "    partial.write_text('half'); print('writing', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "writing\n"
        with pytest.raises(UserError, match=r"talking\.mp4: another process is writing it"), atomic_write(final):
            raise AssertionError
        discard_partial(final)  # by a job runner whose own job was refused
        assert (tmp_path / ".talking.partial.mp4").read_text() == "half"
        other.kill()
    with atomic_write(final) as partial:
        assert not partial.exists()
        partial.write_text("whole")
    assert names(tmp_path) == ["talking.mp4"]


def test_what_a_killed_process_left_is_no_other_content(tmp_path: Path) -> None:
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".lock").touch()
    assert not has_other_content(tmp_path, "z.txt")
    (tmp_path / "a.txt").touch()  # moved here already, or of another program
    assert has_other_content(tmp_path, "z.txt")
    (tmp_path / ".partial/z.txt").touch()
    assert not has_other_content(tmp_path, "z.txt")
    discard_partial(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    moved = tmp_path / "data"
    moved.mkdir()
    for name in (
        ".data.lock",
        ".old.partial.pt",
        ".old.pt.lock",
    ):  # the first: of one killed when it had moved its folder
        (tmp_path / name).touch()
    write_folder(moved, "new")
    assert names(tmp_path) == [".old.partial.pt", ".old.pt.lock", "data"]
    with atomic_write(tmp_path / "living.pt") as partial:
        partial.write_text("half")
        discard_partial_files(tmp_path)
        assert partial.exists()
    assert names(tmp_path) == ["data", "living.pt"]


def test_inputs_and_folders_are_not_overwritten(tmp_path: Path) -> None:
    audio = tmp_path / "me.mp4"
    audio.write_text("speech")
    (tmp_path / "same.mp4").symlink_to(audio)
    for output in (audio, tmp_path / "same.mp4"):
        with pytest.raises(UserError, match="is an input too"):
            check_not_input(output, None, audio)
    check_not_input(tmp_path / "other.mp4", None, audio)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="is a folder"), atomic_write(tmp_path / "folder"):
        raise AssertionError
    with pytest.raises(UserError, match="is a file"), atomic_folder(audio, last=""):
        raise AssertionError


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"file\.txt: cannot be written"), atomic_write(tmp_path / "file.txt"):
        raise AssertionError
