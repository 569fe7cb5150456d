"""Multi-resolution feature grids with interchangeable backends.

`layout` says how a grid lies in memory, `torch_grid` is the reference, `triton_grid` and `tcnn_grid` give its
numbers faster on a CUDA device, `backends` chooses.
"""

from dfa_nerfstudio.nerf.encodings.feature_grid import Grid, GridConfig

__all__ = ["Grid", "GridConfig"]
