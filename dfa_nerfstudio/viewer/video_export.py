"""Writing what the viewer plays to a video, while training goes on between the frames."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.talk.load_model import checkpoint_of
from dfa_nerfstudio.talk.provenance import Mark
from dfa_nerfstudio.viewer.clips import Playable
from dfa_nerfstudio.viewer.model_proxy import Stage

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModel


@torch.no_grad()
def export(
    model: DFANerfModel, stage: Stage, playable: Playable, target: Path, viewer: Any, say: Callable[[str], None]
) -> None:
    """Writes the track with its sound as it is shown, from the film's camera.

    Args:
        model: what is rendered.
        stage: says what is changed of the track, and what is shown.
        playable: the track and its sound.
        target: the video to write.
        viewer: nerfstudio's, whose lock keeps training away.
        say: is told how far it has come.

    Raises:
        UserError: if the video cannot be written.
    """
    own = Stage(model)
    own.track, own.edits = playable.track, stage.edits
    own.background, own.torso = stage.background, stage.torso
    try:
        mark = Mark.of(checkpoint_of(viewer.log_filename.parent / "config.yml"))
    except UserError:
        mark = Mark("none: the model is still being trained")
    lock = viewer.train_lock or contextlib.nullcontext()
    writer = VideoWriter(
        target, own.track.fps, model.clip.size, SAMPLE_RATE, mark.tags(target.suffix), complete=mark.add_xmp
    )
    with writer as video:
        video.hear(playable.sound)
        for frame in range(len(own.track)):
            own.frame = frame
            with lock:
                training = model.training
                model.eval()
                try:
                    picture = own.get_outputs_for_camera(own.camera)["rgb"]
                finally:
                    model.train(training)
            video.write((picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
            if frame % 25 == 0:
                say(f"writing {target}: {frame} of {len(own.track)} frames")
    say(f"wrote {target}")
