"""`dfa-eval study`: a page that shows videos of several methods in random order and collects ratings (Table 3).

The page does not reveal the method of a video: videos have random names, and `key.json`, which maps them to methods,
stays with the experimenter.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.reporting.page_template import page_template

QUESTIONS = {
    "sync": "How well do the lips match the speech?",
    "head": "How natural is the movement of the head?",
    "blinks": "How natural are the blinks of the eyes?",
    "realness": "How real does the video look?",
}
"""The paper's four questions, each rated from 1 (bad) to 5 (excellent)."""
SUFFIXES = (".mp4", ".webm")
"""File formats that browsers play."""
SYSTEM_VIDEOS = "videos"
"""Folder of a `dfa-eval ablate` with a folder of videos for each system."""
KEY, PAGE = "key.json", "study.html"


def build_study(methods: tyro.conf.Positional[list[str]], output: Path = Path("study"), seed: int = 0) -> None:
    """Writes the page of a user study. `participants/` is for the participants (as a folder, or on any web server),
    `key.json` is not. Each participant watches all videos in an individual order, answers four questions from 1 to 5
    about each, and sends back the file of scores that the page saves at the end. `dfa-eval mos` evaluates these files.

    Args:
        methods: `NAME=FOLDER` for each method, with a video (.mp4, .webm) for each sentence, of the same file name in
            all folders; the ground truth may be one of them. The folder of a `dfa-eval ablate` alone stands for all
            systems of its Table 2.
        output: folder to write.
        seed: seed of the random video names.

    Raises:
        UserError: if a folder has no videos, or not those that the others have.
    """
    folders = [pair for method in methods for pair in _parse_methods(method)]
    if len({name for name, _ in folders}) < len(folders):
        raise UserError("two methods have the same name; give each another")
    videos_by_method = {name: {video.name: video for video in _videos(path)} for name, path in folders}
    sentences = set.union(*(set(videos) for videos in videos_by_method.values()))
    for name, path in folders:
        if not videos_by_method[name]:
            raise UserError(f"{path}: holds no video ({', '.join(SUFFIXES)})")
        if missing := sorted(sentences - set(videos_by_method[name])):
            raise UserError(
                f"{path}: has no {missing[0]}, which another method has; a study needs the same sentences of all"
            )
    generator = np.random.default_rng(seed)
    key: dict[str, dict[str, str]] = {}
    with atomic_write(output) as partial:
        participants = partial / "participants"
        (participants / "videos").mkdir(parents=True)
        for method, videos in videos_by_method.items():
            for sentence, video in videos.items():
                Video(video)  # refuses files that browsers cannot play either
                code = f"{generator.integers(1 << 48):012x}{video.suffix}"
                shutil.copyfile(video, participants / "videos" / code)
                key[code] = {"method": method, "sentence": sentence}
        name = hashlib.sha256("".join(sorted(key)).encode()).hexdigest()[:12]
        parts = {"videos": sorted(key), "questions": QUESTIONS, "study": name}
        (participants / PAGE).write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")
        stored = {"study": name, "questions": list(QUESTIONS), "videos": key}
        (partial / KEY).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    make_console().print(
        f"wrote {output / 'participants' / PAGE} for the participants, and {output / KEY}, which they must not see",
        soft_wrap=True,
    )


def _videos(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]


def _parse_methods(text: str) -> list[tuple[str, Path]]:
    """Name and folder from NAME=FOLDER; those of all systems from the folder of an ablation."""
    name, separator, folder = text.partition("=")
    if not separator and (systems := Path(text) / SYSTEM_VIDEOS).is_dir():
        return [(path.name, path) for path in sorted(systems.iterdir()) if path.is_dir()]
    if not separator or not name:
        raise UserError(f"{text}: give NAME=FOLDER, such as ours=videos/ours, or the folder of a dfa-eval ablate")
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder")
    return [(name, path)]
