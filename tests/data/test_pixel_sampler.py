"""Mouth and eyes have their share of the loss, and sampling by error does not change the loss."""

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
def test_weighted_mean_equals_the_mean_under_the_target_density(shares: dict[str, float]):
    """The target density is a mixture of mouth, eyes, the person, and a little of the whole image."""
    torch.manual_seed(0)
    sampler = PixelSampler(PixelSamplerConfig(person=0.9, **shares), PERSON, MOVED)
    for _ in range(20):
        pixels = sampler.draw(2000, torch.tensor([1, 0]))
        sampler.update_error_map(pixels, (pixels.row < 4).float())
    frame_numbers = torch.tensor([1, 0])
    pixels = sampler.draw(400_000, frame_numbers)
    image = torch.rand(2, HEIGHT, WIDTH)
    target = (1 - shares["mouth"] - shares["eyes"]) * (0.1 / (HEIGHT * WIDTH) + 0.9 * PERSON / PERSON.sum()) / 2
    target = target.repeat(2, 1, 1)
    for frame, boxes in enumerate(MOVED.tolist()):
        parts = shares["mouth"], shares["eyes"] / 2, shares["eyes"] / 2
        for part, (left, top, right, bottom) in zip(parts, boxes, strict=False):
            target[frame, top:bottom, left:right] += part / ((bottom - top) * (right - left)) / 2
    got = (pixels.weight * image[frame_numbers[pixels.slot], pixels.row, pixels.column]).mean()
    assert float(got) == pytest.approx(float((image * target).sum()), rel=0.01)
    assert float(pixels.weight.mean()) == pytest.approx(1, abs=0.01)


def test_mouth_and_large_errors_are_sampled_more_often():
    torch.manual_seed(0)
    frame_numbers = torch.tensor([1, 0])
    uniform = PixelSampler(PixelSamplerConfig(**NONE), PERSON, MOVED).draw(20_000, frame_numbers)
    focused = PixelSampler(PixelSamplerConfig(**{**NONE, "mouth": 0.3}), PERSON, MOVED).draw(20_000, frame_numbers)
    share = [float(pixels.in_box[:, 0].float().mean()) for pixels in (uniform, focused)]
    assert share[1] == pytest.approx(0.3 + 0.7 * share[0], abs=0.02)
    assert (
        focused.in_box[:, 0]
        .eq(  # the box is that of the pixel's own frame
            (focused.row >= 7)
            & (focused.row < 9)
            & (focused.column >= 6 + frame_numbers[focused.slot])
            & (focused.column < 10 + frame_numbers[focused.slot])
        )
        .all()
    )

    sampler = PixelSampler(PixelSamplerConfig(**{**NONE, "error": 0.5}), PERSON, MOVED)
    for _ in range(100):
        pixels = sampler.draw(2000, frame_numbers)
        sampler.update_error_map(pixels, (pixels.row >= 8).float())
    share = [float((pixels.row >= 8).float().mean()) for pixels in (uniform, sampler.draw(20_000, frame_numbers))]
    assert share[1] == pytest.approx(0.5 + 0.5 * share[0], abs=0.03)


def test_patches_are_square_and_lie_around_mouths_and_eyes():
    torch.manual_seed(0)
    size, frame_numbers = 6, torch.tensor([1, 0])
    pixels = PixelSampler(PixelSamplerConfig(), PERSON, MOVED).draw_patches(400, size, frame_numbers)
    slot, row, column = (values.view(400, size, size) for values in (pixels.slot, pixels.row, pixels.column))
    assert (slot == slot[:, :1, :1]).all(), "a patch has pixels of several frames"
    assert (row == row[:, :1, :1] + torch.arange(size)[:, None]).all()
    assert (column == column[:, :1, :1] + torch.arange(size)).all()
    assert row.min() >= 0 and row.max() < HEIGHT and column.min() >= 0 and column.max() < WIDTH
    touched = pixels.in_box.view(400, size**2, 4).any(1)  # mouth, left eye, right eye, lower face
    assert touched[:, :3].any(1).all()
    assert touched[:, 0].float().mean() > 0.4 and touched[:, 1:3].any(1).float().mean() > 0.4
