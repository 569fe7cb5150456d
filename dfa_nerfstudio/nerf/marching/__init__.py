"""Ray marching with interchangeable backends.

`march` samples rays in occupied space and composites the field's outputs. `torch_sampler` is the reference,
`nerfacc_sampler` computes the same samples and weights by nerfacc's CUDA functions, and `marching_backends` chooses.
`depth_guided` renders images by marching a small one and querying the field once for most of the other pixels.
"""

from dfa_nerfstudio.nerf.marching.marching_backends import MarchingBackend
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid
from dfa_nerfstudio.nerf.marching.ray_marching import RenderOutput, march

__all__ = ["MarchingBackend", "OccupancyGrid", "RenderOutput", "march"]
