"""Files of a corpus, through links, once each."""

from __future__ import annotations

from pathlib import Path

from dfa_nerfstudio.data.find_files import find_files


def test_links_are_followed_once_and_hidden_files_left_out(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    for folder in (corpus / "b", elsewhere / "deep", corpus / ".half.partial"):
        folder.mkdir(parents=True)
        (folder / "clip.mp4").touch()
    (corpus / "b" / "notes.txt").touch()
    (corpus / ".hidden.mp4").touch()
    (corpus / "a").symlink_to(elsewhere)
    (corpus / "again").symlink_to(elsewhere / "deep")
    (corpus / "b" / "up").symlink_to(corpus)  # a circle
    (corpus / "0").symlink_to(corpus / "b")
    (corpus / "broken").symlink_to(tmp_path / "nothing")
    (corpus / "file.mp4").symlink_to(corpus / "b" / "clip.mp4")
    found = find_files(corpus, lambda path: path.suffix == ".mp4")
    assert [str(path.relative_to(corpus)) for path in found] == ["a/deep/clip.mp4", "b/clip.mp4", "file.mp4"]
