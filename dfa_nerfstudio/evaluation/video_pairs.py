"""What is scored: pictures, and the truth that they should look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dfa_nerfstudio.data.audio_features import FILE_FEATURE
from dfa_nerfstudio.data.dataset_folder import AUDIO, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.cross_driven import Speech
from dfa_nerfstudio.evaluation.frame_arrays import Pictures, on_disk
from dfa_nerfstudio.evaluation.reference_head import FOCAL
from dfa_nerfstudio.media.audio import read_audio, read_wav
from dfa_nerfstudio.media.images import read_image
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.talk.frame_renderer import render_track
from dfa_nerfstudio.talk.load_model import load_model

Mismatch = Literal["align", "refuse"]


@dataclass
class Pair:
    """T frames at 25 frames/s beside the true ones."""

    name: str
    pictures: Pictures
    truth: Pictures
    valid_frames: Bool[np.ndarray, " T"]
    """False for frames that are not scored."""
    sound: Float32[np.ndarray, " S"] | None
    """16 kHz, what the pictures say, beginning with the first one; none for a silent film."""
    true_sound: Float32[np.ndarray, " S"] | None
    focal: float = FOCAL
    """Of the camera in picture widths."""
    source: str = "frames as they are rendered"
    notes: list[str] = field(default_factory=list)
    """What whoever reads the figures has to know."""
    speeches: list[Speech] = field(default_factory=list)
    """What else the pictures' model was let say."""

    def __len__(self) -> int:
        return len(self.truth)


def held_out_pair(config_path: Path, speech: Sequence[Path] = ()) -> Pair:
    """The held-out end of a model's clip: its own sound and its own motion (self-reconstruction).

    Args:
        config_path: the run's `config.yml`.
        speech: audio files that the model says too; not if it listens to features of a file.

    Raises:
        UserError: if there is no such run, nothing of its clip is held out, or speech is of no use.
    """
    model = load_model(config_path)
    folder = DatasetFolder.open(model.clip.folder)
    first, count = folder.num_train, len(folder.attributes)
    valid_frames = folder.attributes.shot[first:] >= 0
    if not valid_frames.any():
        raise UserError(
            f"{folder.path}: no frame is held out, and figures of training frames say nothing; run dfa-process and "
            "dfa-attributes again without --held-out 0, and train again"
        )
    paths = [folder.path / frame["file_path"] for frame in folder.meta["frames"][first:]]
    notes = []
    if speech and model.clip.track.audio_kind.name == FILE_FEATURE:
        notes.append(f"trained on {model.clip.track.audio_kind}, which nobody made of other speech: that is left out")
        speech = ()
    start = round(first / FRAME_RATE * SAMPLE_RATE)
    sound = read_wav(folder.path / AUDIO)[start:]
    return Pair(
        name=f"{folder.path.resolve().name}, {config_path.parent.parent.name}",
        pictures=on_disk(render_track(model, model.clip.track[first:count])),
        truth=on_disk(read_image(path) for path in paths),
        valid_frames=valid_frames,
        sound=sound,
        true_sound=sound,
        focal=folder.meta["fl_x"] / folder.size[0],
        notes=notes,
        speeches=[Speech.of(model, path) for path in speech],
    )


def video_pair(video: Path, reference: Path, mismatch: Mismatch = "align") -> Pair:
    """Two videos of any origin that begin at the same moment.

    Args:
        video: what is scored.
        reference: the truth.
        mismatch: what is done about different lengths and sizes: the longer one is cut, and the pictures are resized
            to the truth's size, which is noted; or they are refused. Other frame rates are brought to 25 frames/s.

    Raises:
        UserError: for unreadable or empty videos, and for a mismatch that is refused.
    """
    mine, true = Video(video), Video(reference)
    truth = on_disk(map(to_rgb, true.frames()))
    height, width = truth.shape[1:3]
    resized = set[tuple[int, int]]()

    def fitted() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        for frame in map(to_rgb, mine.frames()):
            if frame.shape != truth.shape[1:]:
                if mismatch == "refuse":
                    raise UserError(
                        f"{video}: {frame.shape[1]}x{frame.shape[0]} pixels, {reference} has {width}x{height}; "
                        "--mismatch align resizes"
                    )
                resized.add((frame.shape[1], frame.shape[0]))
                frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            yield frame

    pictures = on_disk(fitted())
    notes = [f"{video}: {w}x{h} pixels, resized to {width}x{height}" for w, h in resized]
    count = min(len(pictures), len(truth))
    if len(pictures) != len(truth):
        differ = f"{video} has {len(pictures)} frames, {reference} {len(truth)}"
        if mismatch == "refuse":
            raise UserError(f"{differ}; --mismatch align scores what both have")
        notes.append(f"{differ}: the first {count} are scored")
    for film in (mine, true):
        if round(film.source_rate, 2) != FRAME_RATE:
            notes.append(f"{film.path}: {film.source_rate:.4g} frames/s, taken at {FRAME_RATE:g}")
        if not film.has_sound:
            notes.append(f"{film.path}: has no sound, so nothing is said of lips and sound")
        notes += [f"{film.path}: {warning}" for warning in film.warnings]
    return Pair(
        name=f"{video.name} against {reference.name}",
        pictures=pictures[:count],
        truth=truth[:count],
        valid_frames=np.ones(count, bool),
        sound=read_audio(video) if mine.has_sound else None,
        true_sound=read_audio(reference) if true.has_sound else None,
        source="two videos, as they decode",
        notes=notes,
    )
