"""Marching along rays, with interchangeable backends.

`march` puts samples where something is (`occupancy`) and composites what they show; `torch_sampler` is the reference,
`nerfacc_sampler` gives its samples and weights by nerfacc's CUDA functions, `backends` chooses. `fused` renders whole
pictures, field and all, in one kernel of Triton's (`fused_kernel`), where there is a GPU.
"""

from dfa_nerfstudio.nerf.marching import fused_renderer as fused
from dfa_nerfstudio.nerf.marching.marching_backends import Marcher
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid
from dfa_nerfstudio.nerf.marching.ray_marching import Marched, march

__all__ = ["Marched", "Marcher", "OccupancyGrid", "fused", "march"]
