"""Writes a clip to a video file as the viewer shows it, while training may continue between its frames."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import VideoWriter
from dfa_nerfstudio.talk.load_model import latest_checkpoint
from dfa_nerfstudio.talk.provenance import Provenance
from dfa_nerfstudio.viewer.clips import Clip
from dfa_nerfstudio.viewer.model_proxy import ModelProxy


@torch.no_grad()
def export_video(proxy: ModelProxy, clip: Clip, target: Path, viewer: Any, on_progress: Callable[[str], None]) -> None:
    """Writes a clip with its audio, seen from the source video's camera.

    Args:
        proxy: decides the model, the edits, and whether background and torso are shown.
        clip: track and audio to write.
        target: the video to write.
        viewer: nerfstudio's viewer, whose lock pauses training while a frame is rendered.
        on_progress: called with a line of text every second of video and at the end.

    Raises:
        UserError: if the video cannot be written.
    """
    exporter = ModelProxy(proxy.model)
    exporter.track, exporter.edits = clip.track, proxy.edits
    exporter.show_background, exporter.show_torso = proxy.show_background, proxy.show_torso
    try:
        provenance = Provenance.of_checkpoint(latest_checkpoint(viewer.log_filename.parent / "config.yml"))
    except UserError:
        provenance = Provenance("none: the model is still being trained")
    lock = viewer.train_lock or contextlib.nullcontext()
    fps, size, num_frames = clip.track.fps, proxy.model.clip.size, len(clip.track)
    metadata = provenance.metadata(target.suffix)
    with VideoWriter(target, fps, size, SAMPLE_RATE, metadata, finalize=provenance.append_xmp) as video:
        video.write_audio(clip.audio)
        for number in range(num_frames):
            exporter.frame = number
            with lock:
                was_training = exporter.training
                exporter.eval()
                try:
                    image = exporter.get_outputs_for_camera(exporter.source_camera)["rgb"]
                finally:
                    exporter.train(was_training)
            video.write_frame((image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
            if number % round(FRAME_RATE) == 0:
                on_progress(f"writing {target}: {number} of {num_frames} frames")
    on_progress(f"wrote {target}")
