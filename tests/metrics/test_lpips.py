"""LPIPS against torchmetrics, with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.models import alexnet

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.metrics.lpips import Lpips


def test_equals_that_of_torchmetrics_with_the_same_alexnet(tmp_path: Path):
    torch.manual_seed(0)
    network = alexnet()
    torch.save(network.state_dict(), tmp_path / "alexnet.pth")
    own = Lpips(tmp_path / "alexnet.pth")
    reference = _LPIPS(net="alex", pnet_rand=True)
    # its AlexNet has torchvision's layer numbers, in five parts
    layers = {name[9:]: values for name, values in network.state_dict().items() if name.startswith("features.")}
    parts = reference.net.state_dict()
    reference.net.load_state_dict({name: layers[name.split(".", 1)[1]] for name in parts})
    one, other = torch.rand(2, 2, 3, 70, 64)
    torch.testing.assert_close(own(one, other), reference(2 * one - 1, 2 * other - 1).flatten(), rtol=1e-4, atol=1e-6)
    assert own(one, one).abs().max() == 0

    small = torch.rand(1, 3, 24, 24, requires_grad=True)
    own(small, torch.rand(1, 3, 24, 24)).sum().backward()
    assert small.grad is not None and small.grad.isfinite().all() and small.grad.any()


def test_other_weights_are_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "weights.pth"
    for content in (b"not weights", None):
        if content is None:
            torch.save({"features.0.weight": torch.zeros(1)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"weights\.pth: not torchvision's AlexNet") as error:
            Lpips(path)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"missing\.pth"):
        Lpips(tmp_path / "missing.pth")
