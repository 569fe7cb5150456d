"""Marching along rays, with interchangeable backends.

`march` puts samples where something is (`occupancy`) and composites what they show; `torch_backend` is the reference,
`nerfacc_backend` gives its samples and weights by nerfacc's CUDA functions, `backends` chooses.
"""

from dfa_nerfstudio.nerf.marching.backends import Marcher
from dfa_nerfstudio.nerf.marching.march import Marched, march
from dfa_nerfstudio.nerf.marching.occupancy import OccupancyGrid

__all__ = ["Marched", "Marcher", "OccupancyGrid", "march"]
