"""The closed-mouth embedding replaces the audio of frames with closed lips."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.closed_mouth_embedding import ClosedMouthConfig, ClosedMouthEmbedding


def test_only_audio_of_frames_with_closed_lips_is_replaced_and_only_in_training():
    audio = torch.arange(10.0)[:, None].expand(10, 3)
    closed = torch.tensor([True, True, *[False] * 8])
    module = ClosedMouthEmbedding(ClosedMouthConfig(probability=0.5), audio, closed)
    assert torch.allclose(module.code, torch.full((3,), 4.0))  # in the direction of their mean, with the median norm
    frames = torch.arange(10).repeat(100)
    torch.manual_seed(0)
    got = module(audio[frames], frames)
    replaced = (got != audio[frames]).any(1)
    assert not replaced[frames > 1].any() and torch.equal(got[replaced][0], module.code)
    assert 0.4 < replaced[frames < 2].float().mean() < 0.6
    got.sum().backward()
    assert module.code.grad is not None and float(module.code.grad[0]) == float(replaced.sum())
    assert torch.equal(module.eval()(audio[frames], frames), audio[frames])
    assert torch.equal(module.train()(audio, None), audio)
