"""Grid lookup against a plain interpolation, and every backend against the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dfa_nerfstudio.nerf.encodings import FeatureGrid, GridConfig, torch_grid
from dfa_nerfstudio.nerf.encodings.grid_layout import PRIMES, GridLayout
from tests.pipeline_fixture import run_in_triton_interpreter

LAYOUTS = {
    "dense planes": GridLayout(2, 3, 4, 16, 100, 19),
    "planes with hashed levels": GridLayout(2, 4, 2, 16, 128, 11),
    "volume": GridLayout(3, 3, 2, 8, 32, 12),
}


def _points(layout: GridLayout, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    margin = 0.5 / (layout.min_resolution - 1)
    return torch.rand(3, count, layout.dims, generator=generator) * (1 - 2 * margin) + margin


def _table(layout: GridLayout) -> torch.Tensor:
    return torch.randn(3, layout.entries, layout.features_per_level, generator=torch.Generator().manual_seed(1))


def _interpolated(point: np.ndarray, table: np.ndarray, layout: GridLayout) -> np.ndarray:
    """Features of one point in one grid, vertex by vertex, in Python integers."""
    features = []
    for level in layout.levels:
        position = point * level.scale + 0.5
        low = np.floor(position).astype(int)
        total = np.zeros(layout.features_per_level)
        for corner in itertools.product((0, 1), repeat=layout.dims):
            vertex = [int(number) for number in low + corner]
            weight = np.prod(np.where(corner, position - low, 1 - (position - low)))
            if level.resolution**layout.dims <= 2**layout.log2_hashmap_size:
                assert all(0 <= number < level.resolution for number in vertex)
                row = sum(number * level.resolution**axis for axis, number in enumerate(vertex))
            else:
                row = 0
                for number, prime in zip(vertex, PRIMES, strict=False):
                    row ^= number * prime % 2**32
                row %= 2**layout.log2_hashmap_size
            total += weight * table[level.offset + row]
        features.append(total)
    return np.stack(features)  # [levels, features]


@pytest.mark.parametrize("name", LAYOUTS)
def test_reference_is_linear_interpolation_of_instant_ngps_table(name: str):
    layout = LAYOUTS[name]
    points, table = _points(layout, 40), _table(layout)
    got = torch_grid.encode(points, table, layout).reshape(40, layout.num_levels, 3, layout.features_per_level)
    for grid, index in itertools.product(range(3), range(40)):
        expected = _interpolated(points[grid, index].double().numpy(), table[grid].double().numpy(), layout)
        np.testing.assert_allclose(got[index, :, grid].numpy(), expected, atol=2e-4)


def test_levels_are_those_of_instant_ngp():
    """Offsets in rows for base 16, factor 1.5 and 2^14 rows follow instant-ngp's Eq. 2 and its padding to 8 rows."""
    layout = GridLayout(2, 8, 2, 16, round(16 * 1.5**7), 14)
    resolutions = [level.resolution for level in layout.levels]
    assert resolutions[:4] == [16, 24, 36, 54] and resolutions[-1] == 273
    sizes = [min(-(-(size**2) // 8) * 8, 2**14) for size in resolutions]
    assert [level.offset for level in layout.levels] == np.cumsum([0, *sizes[:-1]]).tolist()
    assert [level.dense for level in layout.levels] == [size <= 128 for size in resolutions]


@pytest.mark.parametrize("name", LAYOUTS)
def test_triton_gives_the_references_values_and_gradients(name: str):
    pytest.importorskip("triton")
    run_in_triton_interpreter(f"from tests.nerf.test_encodings import compare_triton; compare_triton({name!r})")


def compare_triton(name: str) -> None:
    """Compares values and gradients of 300 points, which are more than two programs."""
    from dfa_nerfstudio.nerf.encodings import triton_grid

    layout, results = LAYOUTS[name], []
    for encode in (torch_grid.encode, triton_grid.encode):
        points, table = _points(layout, 300).requires_grad_(), _table(layout).requires_grad_()
        out = encode(points, table, layout)
        direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
        (out * direction).sum().backward()
        results.append((out.detach(), points.grad, table.grad))
    for reference, other in zip(*results, strict=True):
        torch.testing.assert_close(other, reference, atol=2e-4 * float(reference.abs().max()), rtol=0)


def test_wrong_triton_kernels_are_not_used() -> None:
    pytest.importorskip("triton")
    run_in_triton_interpreter("from tests.nerf.test_encodings import make_kernels_wrong; make_kernels_wrong()")


def make_kernels_wrong() -> None:
    """Changes the spatial hash, then lets the compiler fail."""
    import triton.language as tl

    from dfa_nerfstudio.nerf.encodings import triton_grid
    from dfa_nerfstudio.nerf.encodings.grid_backends import triton_failure

    layout, check = GridLayout(2, 2, 2, 16, 64, 9), triton_failure.__wrapped__
    assert check(layout, torch.device("cpu")) is None
    triton_grid._PRIME_Y = tl.constexpr(7)
    assert "the Triton kernel's values differ" in check(layout, torch.device("cpu"))

    def fail(*_: object) -> None:
        raise RuntimeError("no ptxas\nin PATH")

    triton_grid.encode = fail
    assert check(layout, torch.device("cpu")) == "the Triton kernel does not run here: no ptxas in PATH"


def test_points_outside_the_cube_get_border_values():
    grid = FeatureGrid(GridConfig(num_levels=3))
    inside, outside = torch.tensor([[[1.0, -1.0, 0.3]]]), torch.tensor([[[1.5, -7.0, 0.3]]])
    torch.testing.assert_close(grid(outside), grid(inside))


def test_an_unavailable_backend_is_replaced_and_logged(capsys):
    points = torch.rand(1, 5, 3)
    requested, plain = FeatureGrid(GridConfig(backend="triton")), FeatureGrid(GridConfig(backend="torch"))
    plain.load_state_dict(requested.state_dict())
    torch.testing.assert_close(requested(points), plain(points))
    assert "grid backend: torch (triton needs a CUDA device)" in capsys.readouterr().out


def test_triton_kernels_compile_for_other_gpus():
    """Compiles to machine code for compute capabilities 7.5 (2018) and 9.0 (2022)."""
    compiler = pytest.importorskip("triton.compiler")
    from triton.backends.compiler import GPUTarget

    from dfa_nerfstudio.nerf.encodings import triton_grid

    def signature(kernel, constants: dict) -> dict[str, str]:
        integers = {"count", "grids", "entries_of_grid"}
        types = {
            name: "i32" if name in integers else "*i32" if name == "numbers" else "*fp32" for name in kernel.arg_names
        }
        return types | dict.fromkeys(constants, "constexpr")

    sizes = {"FEATURES": 4, "BLOCK": 128}
    for kernel, extra in (
        (triton_grid._forward, {}),
        (triton_grid._backward, {"GRAD_POINTS": True, "GRAD_TABLE": True}),
    ):
        for capability, dims in ((75, 2), (90, 3)):
            constants = {**sizes, **extra, "DIMS": dims}
            source = compiler.ASTSource(kernel, signature(kernel, constants), constants)
            assert compiler.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
