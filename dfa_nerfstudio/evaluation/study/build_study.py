"""`dfa-eval study`: one page that shows videos of several methods in random order and collects scores (Table 3).

Nothing on the page tells which method a video is of: videos have random names, and which is which stands in `key.json`,
which stays with whoever runs the study.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.video_reader import Video
from dfa_nerfstudio.reporting.page_template import page_template

QUESTIONS = {
    "sync": "How well do lips and sound go together?",
    "head": "How natural is the movement of the head?",
    "blinks": "How natural are the blinks of the eyes?",
    "realness": "How real does the picture look?",
}
"""The paper's four, each from 1 (bad) to 5 (excellent)."""
SUFFIXES = (".mp4", ".webm")
"""What browsers play."""
KEY, PAGE = "key.json", "study.html"


def study(methods: tyro.conf.Positional[list[str]], output: Path = Path("study"), seed: int = 0) -> None:
    """Makes a folder with a page for a study of viewers: `participants/` is what they get (as a folder, or on any web
    server), `key.json` stays here. Each of them watches all videos in an order of their own, answers four questions
    from 1 to 5 about each, and sends back the file of scores that the page saves at the end. Then: `dfa-eval opinions`.

    Args:
        methods: `NAME=FOLDER` for each method, with a video (.mp4, .webm) for each sentence, of the same file name in
            all folders; the truth may be one of them.
        output: the folder that is made.
        seed: of the videos' names.

    Raises:
        UserError: if a folder has no videos, or not those that the others have.
    """
    films = [_named_folder(method) for method in methods]
    if len({name for name, _ in films}) < len(films):
        raise UserError("two methods have the same name; give each another")
    found = {name: {video.name: video for video in _videos(path)} for name, path in films}
    sentences = set.union(*(set(videos) for videos in found.values()))
    for name, path in films:
        if not found[name]:
            raise UserError(f"{path}: holds no video ({', '.join(SUFFIXES)})")
        if lacking := sorted(sentences - set(found[name])):
            raise UserError(
                f"{path}: has no {lacking[0]}, which another method has; a study needs the same sentences of all"
            )
    names = np.random.default_rng(seed)
    key: dict[str, dict[str, str]] = {}
    with atomic_write(output) as partial:
        shown = partial / "participants"
        (shown / "videos").mkdir(parents=True)
        for method, videos in found.items():
            for sentence, video in videos.items():
                Video(video)  # refuses what no browser could play either
                code = f"{names.integers(1 << 48):012x}{video.suffix}"
                shutil.copyfile(video, shown / "videos" / code)
                key[code] = {"method": method, "sentence": sentence}
        name = hashlib.sha256("".join(sorted(key)).encode()).hexdigest()[:12]
        parts = {"videos": sorted(key), "questions": QUESTIONS, "study": name}
        (shown / PAGE).write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")
        stored = {"study": name, "questions": list(QUESTIONS), "videos": key}
        (partial / KEY).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    Console().print(
        f"wrote {output / 'participants' / PAGE} for the participants, and {output / KEY}, which they must not see",
        highlight=False,
        soft_wrap=True,
    )


def _videos(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]


def _named_folder(text: str) -> tuple[str, Path]:
    name, given, folder = text.partition("=")
    if not given or not name:
        raise UserError(f"{text}: give NAME=FOLDER, such as ours=films/ours")
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder")
    return name, path
