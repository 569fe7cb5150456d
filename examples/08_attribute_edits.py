"""Attribute edits: the last frames of the person's video, with closed eyes or a turned head, and all else unchanged.

Example:
    python examples/08_attribute_edits.py --run people/me --output edited.mp4

From left to right: the track as it is, closed eyes, the head turned, the mouth closed. Any renderer with the members of
the `Renderer` protocol works.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tyro

import dfa_nerfstudio as dfa
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.talk.frame_renderer import frame_size, render_track
from dfa_nerfstudio.talk.load_model import latest_checkpoint
from dfa_nerfstudio.talk.provenance import Provenance
from dfa_nerfstudio.viewer.attribute_edits import AttributeEdits


def main(run: Path, output: Path, num_frames: int = 50, yaw: float = 15.0) -> None:
    """Renders the last frames of the person's own track in four versions, side by side.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
        output: video to write.
        num_frames: number of frames.
        yaw: rotation of the head to its left, in degrees.
    """
    person = dfa.load(run)
    model, mark = person.model, Provenance.of_checkpoint(latest_checkpoint(person.config))
    models = AttributeModels.load(model.clip.folder / MODELS_FILE_NAME)
    track = model.clip.track.to(model.device)[-num_frames:]
    edits = (
        AttributeEdits(),
        AttributeEdits(eye_opening=0.0),
        AttributeEdits(yaw=yaw),
        AttributeEdits(mouth_amplitude=0.0),
    )
    tracks = [edit.apply(track, model.closed_mouth_feature, models.eye.from_opening) for edit in edits]
    width, height = frame_size(model)
    size, marked_as_synthetic = (len(tracks) * width, height), mark.metadata(output.suffix)
    with VideoWriter(output, track.fps, size, metadata=marked_as_synthetic, finalize=mark.append_xmp) as video:
        for frames in zip(*(render_track(model, edited) for edited in tracks), strict=True):
            video.write_frame(np.concatenate(frames, 1))
    print(f"{output}: {len(track)} frames")


if __name__ == "__main__":
    tyro.cli(main)
