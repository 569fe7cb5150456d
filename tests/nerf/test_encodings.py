"""Grids against a plain interpolation of their own, and every backend against the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dfa_nerfstudio.nerf.encodings import Grid, GridConfig, torch_grid
from dfa_nerfstudio.nerf.encodings.grid_layout import PRIMES, GridLayout
from tests.pipeline_fixture import interpreted

LAYOUTS = {
    "dense planes": GridLayout(2, 3, 4, 16, 100, 19),
    "planes with hashed levels": GridLayout(2, 4, 2, 16, 128, 11),
    "volume": GridLayout(3, 3, 2, 8, 32, 12),
}


def _points(layout: GridLayout, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    rim = 0.5 / (layout.min_resolution - 1)
    return torch.rand(3, count, layout.dims, generator=generator) * (1 - 2 * rim) + rim


def _table(layout: GridLayout) -> torch.Tensor:
    return torch.randn(3, layout.entries, layout.features, generator=torch.Generator().manual_seed(1))


def _interpolated(point: np.ndarray, table: np.ndarray, layout: GridLayout) -> np.ndarray:
    """One point in one grid, vertex by vertex, in Python's own integers."""
    features = []
    for level in layout.table:
        place = point * level.scale + 0.5
        low = np.floor(place).astype(int)
        total = np.zeros(layout.features)
        for corner in itertools.product((0, 1), repeat=layout.dims):
            vertex = [int(number) for number in low + corner]
            weight = np.prod(np.where(corner, place - low, 1 - (place - low)))
            if level.resolution**layout.dims <= 2**layout.log2_table:
                assert all(0 <= number < level.resolution for number in vertex)
                row = sum(number * level.resolution**axis for axis, number in enumerate(vertex))
            else:
                row = 0
                for number, prime in zip(vertex, PRIMES, strict=False):
                    row ^= number * prime % 2**32
                row %= 2**layout.log2_table
            total += weight * table[level.offset + row]
        features.append(total)
    return np.stack(features)  # [levels, features]


@pytest.mark.parametrize("name", LAYOUTS)
def test_reference_is_linear_interpolation_of_instant_ngps_table(name: str):
    layout = LAYOUTS[name]
    points, table = _points(layout, 40), _table(layout)
    got = torch_grid.encode(points, table, layout).reshape(40, layout.levels, 3, layout.features)
    for grid, index in itertools.product(range(3), range(40)):
        expected = _interpolated(points[grid, index].double().numpy(), table[grid].double().numpy(), layout)
        np.testing.assert_allclose(got[index, :, grid].numpy(), expected, atol=2e-4)


def test_levels_are_those_of_instant_ngp():
    """Offsets in rows, for base 16, factor 1.5, 2^14 rows, as the paper's Eq. 2 and the padding to 8 rows give them."""
    layout = GridLayout(2, 8, 2, 16, round(16 * 1.5**7), 14)
    resolutions = [level.resolution for level in layout.table]
    assert resolutions[:4] == [16, 24, 36, 54] and resolutions[-1] == 273
    sizes = [min(-(-(size**2) // 8) * 8, 2**14) for size in resolutions]
    assert [level.offset for level in layout.table] == np.cumsum([0, *sizes[:-1]]).tolist()
    assert [level.dense for level in layout.table] == [size <= 128 for size in resolutions]


@pytest.mark.parametrize("name", LAYOUTS)
def test_triton_gives_the_references_values_and_gradients(name: str):
    pytest.importorskip("triton")
    interpreted(f"from tests.nerf.test_encodings import compare_triton; compare_triton({name!r})")


def compare_triton(name: str) -> None:
    """Values, and gradients to points and table, of 300 points: two programs and a bit."""
    from dfa_nerfstudio.nerf.encodings import triton_grid

    layout, results = LAYOUTS[name], []
    for encode in (torch_grid.encode, triton_grid.encode):
        points, table = _points(layout, 300).requires_grad_(), _table(layout).requires_grad_()
        out = encode(points, table, layout)
        towards = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
        (out * towards).sum().backward()
        results.append((out.detach(), points.grad, table.grad))
    for reference, other in zip(*results, strict=True):
        torch.testing.assert_close(other, reference, atol=2e-4 * float(reference.abs().max()), rtol=0)


def test_outside_the_cube_the_rim_is_shown():
    grid = Grid(GridConfig(levels=3))
    inside, outside = torch.tensor([[[1.0, -1.0, 0.3]]]), torch.tensor([[[1.5, -7.0, 0.3]]])
    torch.testing.assert_close(grid(outside), grid(inside))


def test_a_backend_that_is_not_there_is_replaced_and_said(capsys):
    points = torch.rand(1, 5, 3)
    wanted, plain = Grid(GridConfig(backend="triton")), Grid(GridConfig(backend="torch"))
    plain.load_state_dict(wanted.state_dict())
    torch.testing.assert_close(wanted(points), plain(points))
    assert "read by torch (triton needs a CUDA device)" in capsys.readouterr().out


def test_triton_kernels_compile_for_gpus_that_are_not_here():
    """From Python to machine code, for a GPU of 2018 and one of 2022."""
    compiler = pytest.importorskip("triton.compiler")
    from triton.backends.compiler import GPUTarget

    from dfa_nerfstudio.nerf.encodings import triton_grid

    def signature(kernel, constants: dict) -> dict[str, str]:
        whole = {"count", "grids", "entries_of_grid"}
        types = {
            name: "i32" if name in whole else "*i32" if name == "numbers" else "*fp32" for name in kernel.arg_names
        }
        return types | dict.fromkeys(constants, "constexpr")

    sizes = {"FEATURES": 4, "BLOCK": 128}
    for kernel, more in (
        (triton_grid._forward, {}),
        (triton_grid._backward, {"TO_POINTS": True, "TO_TABLE": True}),
    ):
        for capability, dims in ((75, 2), (90, 3)):
            constants = {**sizes, **more, "DIMS": dims}
            source = compiler.ASTSource(kernel, signature(kernel, constants), constants)
            assert compiler.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
