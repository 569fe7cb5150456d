"""Loads the test material as training recordings of the models of sections 3.2 to 3.4."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.record import run_timed
from dfa_nerfstudio.attributes.recordings import PER_FRAME_FIELDS, Recording
from dfa_nerfstudio.data.dataset_folder import TRANSFORMS, DatasetFolder

SAME_PERSON = {"vexpress_aoc_4s": "hdtf_WDA_AlexandriaOcasioCortez_000", "grid_pwij3p": "grid_id2_vcd_swwp2s"}
"""Clips mapped to another clip of the same person."""
EXCLUDED_FOLDERS = ("hard",)
"""Folders of clips that are not used for training."""
MAIN_CLIP = "acosta_71s"
"""Clip of the person whose models are trained and scored."""
WEAK_SYNC_CLIP = "woman31_24s_720p"
"""Clip with weak lip sync: used for training, but not scored."""
MIN_FRAMES = 125
"""Minimum number of frames of a scored clip."""


def is_grid(clip: Path) -> bool:
    """Returns whether a clip is from the GRID corpus."""
    return clip.parent.name == "grid_s1" or clip.stem.startswith("grid_")


def link_clip(clip: Path, link: Path) -> None:
    """Replaces `link` by a symbolic link to a clip."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(clip.resolve())


@dataclass
class Corpus:
    """Recordings of the test material."""

    recordings: list[Recording]
    """All clips except the main clip, each in full."""
    main: Recording
    """Training part of the main clip."""
    end: Recording
    """Held-out end of the main clip."""


def process_corpus(shared: Path, output: Path) -> Path:
    """Processes all clips into dataset folders; returns their folder."""
    command = ["dfa-process", shared / "clips", "--output", output, "--size", "128", "--jobs", "2"]
    run_timed([*command, "--overwrite", "--camera", "static"])
    return output


def read_corpus(corpus: Path) -> Corpus:
    """Loads the recordings from the dataset folders of all clips."""
    recordings = []
    for path in sorted(path.parent for path in corpus.rglob(TRANSFORMS)):
        relative = path.relative_to(corpus)
        if relative.parts[0] not in EXCLUDED_FOLDERS and str(relative) != MAIN_CLIP:
            clip = DatasetFolder.open(path).attributes
            recordings.append(Recording.from_clip(clip, slice(None), str(relative), relative.parts[0]))
    folder = DatasetFolder.open(corpus / MAIN_CLIP)
    clip, parts = folder.attributes, (slice(folder.num_train), slice(folder.num_train, None))
    main, end = (Recording.from_clip(clip, part, MAIN_CLIP, MAIN_CLIP) for part in parts)
    return Corpus(recordings, main, end)


def join(first: Recording, second: Recording) -> Recording:
    """Concatenates two parts of one recording."""
    names = (*PER_FRAME_FIELDS, "mfcc")
    return replace(first, **{name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names})


def person(recording: Recording) -> str:
    """Returns the name of the person in a recording."""
    parts = Path(recording.name).parts
    return "grid_s1" if parts[0] == "grid_s1" else SAME_PERSON.get(parts[-1], parts[-1])
