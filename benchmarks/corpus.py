"""Loads the test material as training recordings of the models of sections 3.2 to 3.4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.record import run_timed
from dfa_nerfstudio.attributes.lips.audio_to_lips import standardise, statistics
from dfa_nerfstudio.attributes.recordings import PER_FRAME_FIELDS, Recording
from dfa_nerfstudio.data.audio_features import clip_audio_feature
from dfa_nerfstudio.data.dataset_folder import TRANSFORMS, DatasetFolder
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.speech.speech_encoder import STATES_PER_FRAME

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


def read_corpus(corpus: Path, feature: str = "mfcc") -> Corpus:
    """Loads the recordings from the dataset folders of all clips.

    Args:
        corpus: their folder.
        feature: what E_a reads: `mfcc`, or `speech`, the states of the speech encoder instead of MFCC.
    """
    recordings = []
    for path, relative in dataset_paths(corpus):
        if str(relative) != MAIN_CLIP:
            folder = DatasetFolder.open(path)
            recordings.append(read_recording(folder, feature, slice(None), str(relative), relative.parts[0]))
    folder = DatasetFolder.open(corpus / MAIN_CLIP)
    parts = slice(folder.num_train), slice(folder.num_train, None)
    main, end = (read_recording(folder, feature, part, MAIN_CLIP, MAIN_CLIP) for part in parts)
    return Corpus(recordings, main, end)


def dataset_paths(corpus: Path) -> Iterator[tuple[Path, Path]]:
    """Paths of the dataset folders of a corpus, absolute and relative, without `EXCLUDED_FOLDERS`."""
    for path in sorted(path.parent for path in corpus.rglob(TRANSFORMS)):
        relative = path.relative_to(corpus)
        if relative.parts[0] not in EXCLUDED_FOLDERS:
            yield path, relative


def read_recording(folder: DatasetFolder, feature: str, frames: slice, name: str, group: str) -> Recording:
    """Reads frames of a dataset folder, with `feature` in the place of MFCC."""
    recording = Recording.from_clip(folder.attributes, frames, name, group)
    if feature == "mfcc":
        return recording
    states = clip_audio_feature(folder, feature)[frames].reshape(len(recording) * STATES_PER_FRAME, -1)
    states = standardise(states, *statistics(states))
    return replace(recording, mfcc=states.repeat_interleave(MFCC_PER_FRAME // STATES_PER_FRAME, 0))


def join(first: Recording, second: Recording) -> Recording:
    """Concatenates two parts of one recording."""
    names = (*PER_FRAME_FIELDS, "mfcc")
    return replace(first, **{name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names})


def person(recording: Recording) -> str:
    """Returns the name of the person in a recording."""
    parts = Path(recording.name).parts
    return "grid_s1" if parts[0] == "grid_s1" else SAME_PERSON.get(parts[-1], parts[-1])
