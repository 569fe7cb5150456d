"""What the field is told where the mouth is to be shut."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.closed_mouth_embedding import ShutMouth, ShutMouthConfig


def test_only_frames_with_lips_together_are_told_and_only_while_training():
    audio = torch.arange(10.0)[:, None].expand(10, 3)
    shut = torch.tensor([True, True, *[False] * 8])
    module = ShutMouth(ShutMouthConfig(share=0.5), audio, shut)
    assert torch.allclose(module.code, torch.full((3,), 4.0))  # in the direction of theirs, as far as the median
    frames = torch.arange(10).repeat(100)
    torch.manual_seed(0)
    heard = module(audio[frames], frames)
    told = (heard != audio[frames]).any(1)
    assert not told[frames > 1].any() and torch.equal(heard[told][0], module.code)
    assert 0.4 < told[frames < 2].float().mean() < 0.6
    heard.sum().backward()
    assert module.code.grad is not None and float(module.code.grad[0]) == float(told.sum())
    assert torch.equal(module.eval()(audio[frames], frames), audio[frames])
    assert torch.equal(module.train()(audio, None), audio)
