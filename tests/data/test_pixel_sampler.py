"""Mouth and eyes count for what they are meant to, and what is drawn by error for no more than it is."""

from __future__ import annotations

import pytest
import torch

from dfa_nerfstudio.data.pixel_sampler import PixelSampler, PixelSamplerConfig

HEIGHT, WIDTH = 12, 16
PERSON = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
PERSON[2:, 4:12] = True
BOXES = torch.tensor([[6, 7, 10, 9], [5, 3, 7, 5], [9, 3, 11, 5], [5, 6, 11, 12]])
MOVED = torch.stack([BOXES, BOXES + torch.tensor([1, 0, 1, 0])])  # two frames

NONE = {"mouth": 0.0, "eyes": 0.0, "error": 0.0}


@pytest.mark.parametrize("shares", [NONE, {"mouth": 0.2, "eyes": 0.2, "error": 0.3}])
def test_weights_undo_what_is_not_meant(shares: dict[str, float]):
    """The weighted mean of any picture is its mean under the density that is meant: mouth, eyes, else the person, and
    a little anywhere."""
    torch.manual_seed(0)
    sampler = PixelSampler(PixelSamplerConfig(person=0.9, **shares), PERSON, MOVED)
    for _ in range(20):
        pixels = sampler.draw(2000, torch.tensor([1, 0]))
        sampler.learn(pixels, (pixels.row < 4).float())
    numbers = torch.tensor([1, 0])
    pixels = sampler.draw(400_000, numbers)
    picture = torch.rand(2, HEIGHT, WIDTH)
    meant = (1 - shares["mouth"] - shares["eyes"]) * (0.1 / (HEIGHT * WIDTH) + 0.9 * PERSON / PERSON.sum()) / 2
    meant = meant.repeat(2, 1, 1)
    for frame, boxes in enumerate(MOVED.tolist()):
        parts = shares["mouth"], shares["eyes"] / 2, shares["eyes"] / 2
        for part, (left, top, right, bottom) in zip(parts, boxes, strict=False):
            meant[frame, top:bottom, left:right] += part / ((bottom - top) * (right - left)) / 2
    got = (pixels.weight * picture[numbers[pixels.place], pixels.row, pixels.column]).mean()
    assert float(got) == pytest.approx(float((picture * meant).sum()), rel=0.01)
    assert float(pixels.weight.mean()) == pytest.approx(1, abs=0.01)


def test_mouth_and_errors_are_looked_at_more_often():
    torch.manual_seed(0)
    numbers = torch.tensor([1, 0])
    plain = PixelSampler(PixelSamplerConfig(**NONE), PERSON, MOVED).draw(20_000, numbers)
    keen = PixelSampler(PixelSamplerConfig(**{**NONE, "mouth": 0.3}), PERSON, MOVED).draw(20_000, numbers)
    share = [float(pixels.inside[:, 0].float().mean()) for pixels in (plain, keen)]
    assert share[1] == pytest.approx(0.3 + 0.7 * share[0], abs=0.02)
    assert (
        keen.inside[:, 0]
        .eq(  # the box is that of the pixel's own frame
            (keen.row >= 7)
            & (keen.row < 9)
            & (keen.column >= 6 + numbers[keen.place])
            & (keen.column < 10 + numbers[keen.place])
        )
        .all()
    )

    sampler = PixelSampler(PixelSamplerConfig(**{**NONE, "error": 0.5}), PERSON, MOVED)
    for _ in range(100):
        pixels = sampler.draw(2000, numbers)
        sampler.learn(pixels, (pixels.row >= 8).float())
    share = [float((pixels.row >= 8).float().mean()) for pixels in (plain, sampler.draw(20_000, numbers))]
    assert share[1] == pytest.approx(0.5 + 0.5 * share[0], abs=0.03)


def test_patches_are_whole_and_lie_around_mouths_and_eyes():
    torch.manual_seed(0)
    size, numbers = 6, torch.tensor([1, 0])
    pixels = PixelSampler(PixelSamplerConfig(), PERSON, MOVED).draw_patches(400, size, numbers)
    place, row, column = (values.view(400, size, size) for values in (pixels.place, pixels.row, pixels.column))
    assert (place == place[:, :1, :1]).all(), "a patch of several frames"
    assert (row == row[:, :1, :1] + torch.arange(size)[:, None]).all()
    assert (column == column[:, :1, :1] + torch.arange(size)).all()
    assert row.min() >= 0 and row.max() < HEIGHT and column.min() >= 0 and column.max() < WIDTH
    holds = pixels.inside.view(400, size**2, 4).any(1)  # mouth, left eye, right eye, lower face
    assert holds[:, :3].any(1).all()
    assert holds[:, 0].float().mean() > 0.4 and holds[:, 1:3].any(1).float().mean() > 0.4
