"""The test material as the models of sections 3.2 to 3.4 learn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.record import timed
from dfa_nerfstudio.attributes.recordings import OF_FRAMES, Recording
from dfa_nerfstudio.data.dataset_folder import TRANSFORMS, DatasetFolder

SAME_PERSON = {"vexpress_aoc_4s": "hdtf_WDA_AlexandriaOcasioCortez_000", "grid_pwij3p": "grid_id2_vcd_swwp2s"}
"""Other clips of one person."""
LEFT_OUT = ("hard",)
"""Folders of clips that are not for training."""
MAIN = "acosta_71s"
WEAK = "woman31_24s_720p"
"""Known for weak sync: trains, but is not scored."""
LEAST = 125
"""Frames of a clip whose person is scored."""


def is_grid(clip: Path) -> bool:
    """Whether a clip is of the GRID corpus."""
    return clip.parent.name == "grid_s1" or clip.stem.startswith("grid_")


def link_clip(clip: Path, link: Path) -> None:
    """Puts a clip at a place, anew, without copying it."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(clip.resolve())


@dataclass
class Corpus:
    """The test material."""

    recordings: list[Recording]
    """All clips, whole, but for the main film."""
    main: Recording
    """Its training part."""
    end: Recording
    """Its held-out end."""


def process_corpus(shared: Path, output: Path) -> Path:
    """Dataset folders of all clips, made anew."""
    command = ["dfa-process", shared / "clips", "--output", output, "--size", "128", "--jobs", "2"]
    timed([*command, "--overwrite", "--camera", "still"])
    return output


def read_corpus(corpus: Path) -> Corpus:
    """Reads the dataset folders of all clips."""
    recordings = []
    for path in sorted(path.parent for path in corpus.rglob(TRANSFORMS)):
        relative = path.relative_to(corpus)
        if relative.parts[0] not in LEFT_OUT and str(relative) != MAIN:
            clip = DatasetFolder.open(path).attributes
            recordings.append(Recording.of(clip, slice(None), str(relative), relative.parts[0]))
    folder = DatasetFolder.open(corpus / MAIN)
    clip, parts = folder.attributes, (slice(folder.num_train), slice(folder.num_train, None))
    main, end = (Recording.of(clip, part, MAIN, MAIN) for part in parts)
    return Corpus(recordings, main, end)


def join(first: Recording, second: Recording) -> Recording:
    """Two parts of one recording."""
    names = (*OF_FRAMES, "mfcc")
    return replace(first, **{name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names})


def person(recording: Recording) -> str:
    """Who is seen."""
    parts = Path(recording.name).parts
    return "grid_s1" if parts[0] == "grid_s1" else SAME_PERSON.get(parts[-1], parts[-1])
