"""The model proxy over a minimal renderer: camera, minimum image height, hidden background and overlays."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataparser import ClipMetadata, DFADataParserConfig
from dfa_nerfstudio.viewer.attribute_edits import AttributeEdits
from dfa_nerfstudio.viewer.model_proxy import BACKGROUND_GREY, ModelProxy


class ConstantRenderer:
    """A renderer of one colour, the mean of the audio feature, at half opacity over white; the gate is optional."""

    def __init__(self, clip: ClipMetadata, has_gate: bool) -> None:
        self.clip, self.track, self.device, self.has_gate = clip, clip.track, torch.device("cpu"), has_gate
        self.closed_mouth_feature = torch.zeros_like(clip.track.mouth[0])

    def eval(self) -> ConstantRenderer:
        return self

    def with_track(self, track: AttributeTrack) -> ConstantRenderer:
        other = copy.copy(self)
        other.track = track
        return other

    def get_outputs_for_camera(self, camera: Cameras, obb_box: object = None) -> dict[str, Tensor]:
        shape = int(camera.height), int(camera.width), 3
        accumulation = torch.full((*shape[:2], 1), 0.5)
        foreground = self.track.mouth.mean().expand(shape) * accumulation
        outputs = {"rgb": foreground + 1 - accumulation, "foreground": foreground, "accumulation": accumulation}
        outputs["depth"] = torch.full_like(accumulation, 5.0)
        return {**outputs, "mouth_gate": torch.ones_like(accumulation)} if self.has_gate else outputs


@pytest.fixture
def clip(ball_person: Path) -> ClipMetadata:
    return DFADataParserConfig(data=ball_person).setup().get_dataparser_outputs("train").metadata["clip"]


def test_the_source_camera_follows_the_head_pose_of_the_frame(clip: ClipMetadata):
    proxy = ModelProxy(ConstantRenderer(clip, has_gate=False))
    proxy.frame = 7
    camera = proxy.source_camera
    proxy.get_outputs_for_camera(camera)
    expected = torch.linalg.inv(proxy.track.head_to_camera[7])[:3]
    torch.testing.assert_close(camera.camera_to_worlds.reshape(3, 4), expected, atol=1e-5, rtol=0)
    proxy.follow_source_camera = False
    camera = proxy.source_camera
    proxy.get_outputs_for_camera(camera)
    torch.testing.assert_close(camera.camera_to_worlds.reshape(3, 4), proxy.initial_camera[:3])


def test_small_images_are_enlarged_to_the_source_size(clip: ClipMetadata):
    proxy = ModelProxy(ConstantRenderer(clip, has_gate=False))
    camera = proxy.source_camera
    camera.rescale_output_resolution(0.25)
    assert proxy.get_outputs_for_camera(camera)["rgb"].shape == (40, 40, 3)


def test_a_hidden_background_is_grey(clip: ClipMetadata):
    proxy = ModelProxy(ConstantRenderer(clip, has_gate=False))
    proxy.show_background = False
    audio = proxy.track.mouth[0].mean()
    rgb = proxy.get_outputs_for_camera(proxy.source_camera)["rgb"]
    torch.testing.assert_close(rgb, (0.5 * audio + 0.5 * BACKGROUND_GREY).expand_as(rgb))
    assert proxy.frame_rendered.is_set()


def test_only_gates_of_the_renderer_have_overlays(clip: ClipMetadata):
    without = ModelProxy(ConstantRenderer(clip, has_gate=False))
    assert not [name for name in without.get_outputs_for_camera(without.source_camera) if "overlay" in name]
    proxy = ModelProxy(ConstantRenderer(clip, has_gate=True))
    outputs = proxy.get_outputs_for_camera(proxy.source_camera)
    assert "mouth_gate_overlay" in outputs and "eye_gate_overlay" not in outputs


def test_other_attributes_are_the_models(clip: ClipMetadata):
    model = ConstantRenderer(clip, has_gate=True)
    proxy = ModelProxy(model)
    assert proxy.has_gate and proxy.eval() is model
    assert proxy.edits == AttributeEdits() and model.track is clip.track
