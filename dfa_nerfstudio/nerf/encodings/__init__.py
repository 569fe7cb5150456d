"""Multi-resolution feature grids with interchangeable backends.

`grid_layout` defines a grid's layout in memory, `torch_grid` is the reference, `triton_grid` and `tcnn_grid` compute
the same numbers faster on a CUDA device, and `grid_backends` chooses among them.
"""

from dfa_nerfstudio.nerf.encodings.feature_grid import FeatureGrid, GridConfig

__all__ = ["FeatureGrid", "GridConfig"]
