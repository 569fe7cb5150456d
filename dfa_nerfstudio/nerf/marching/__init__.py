"""Marching along rays, with interchangeable backends.

`march` puts samples where something is (`occupancy`) and composites what they show; `torch_backend` is the reference,
`nerfacc_backend` gives its samples and weights by nerfacc's CUDA functions, `backends` chooses. `fused` renders whole
pictures, field and all, in one kernel of Triton's (`fused_kernel`), where there is a GPU.
"""

from dfa_nerfstudio.nerf.marching import fused
from dfa_nerfstudio.nerf.marching.backends import Marcher
from dfa_nerfstudio.nerf.marching.march import Marched, march
from dfa_nerfstudio.nerf.marching.occupancy import OccupancyGrid

__all__ = ["Marched", "Marcher", "OccupancyGrid", "fused", "march"]
