"""Whatever has the members of `data.renderer.Renderer` can be driven, shown and scored."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from dfa_nerfstudio.data.dataparser import DFADataParserConfig
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.talk.frame_renderer import render_track
from dfa_nerfstudio.viewer.model_proxy import ModelProxy


class BackgroundRenderer:
    """The worked example of `Renderer`: renders the background alone."""

    def __init__(self, clip) -> None:
        self.clip, self.track, self.device = clip, clip.track, torch.device("cpu")
        self.closed_mouth_feature = clip.track.mouth.mean(0)

    def eval(self):
        return self

    def with_track(self, track):
        other = copy.copy(self)
        other.track = track
        return other

    def get_outputs_for_camera(self, camera, obb_box=None):
        image = self.clip.background.permute(1, 2, 0)
        empty = torch.zeros_like(image[..., :1])
        return {"rgb": image, "foreground": image * 0, "accumulation": empty, "depth": empty + 1}


def test_another_renderer_is_rendered_by_talk_and_viewer(ball_person: Path):
    clip = DFADataParserConfig(data=ball_person).setup().get_dataparser_outputs("train").metadata["clip"]
    renderer = BackgroundRenderer(clip)
    assert isinstance(renderer, Renderer)
    truth = clip.background.permute(1, 2, 0).numpy()
    for frame in render_track(renderer, clip.track[:2]):
        np.testing.assert_allclose(frame / 255, truth, atol=1 / 255)
    proxy = ModelProxy(renderer)
    proxy.show_background = False
    outputs = proxy.get_outputs_for_camera(proxy.source_camera)
    assert (outputs["rgb"] == outputs["rgb"][0, 0]).all(), "the viewer's background switch has no effect"
