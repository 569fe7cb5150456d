"""Multi-resolution feature grids with interchangeable backends.

`layout` says how a grid lies in memory, `torch_backend` is the reference, `triton_backend` and `tcnn_backend` give its
numbers faster on a CUDA device, `backends` chooses.
"""

from dfa_nerfstudio.nerf.encodings.grid import Grid, GridConfig

__all__ = ["Grid", "GridConfig"]
