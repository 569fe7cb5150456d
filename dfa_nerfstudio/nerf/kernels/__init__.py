"""Compiled functions that march rays: of images of one frame, and in training.

`triton_renderer` runs `triton_kernel` on a GPU, `numba_renderer` runs `numba_kernel` on a CPU: marching, the field and
compositing together. `kernel_check` compares their first picture with that of `march`, which is the reference and
renders where neither can be used. `numba_marcher` runs `numba_marching_kernel` on a CPU, which marches rays of many
frames in training, with the gradient, and compares it with plain torch; `numba_training_kernel` is the field within it.
"""

VECTOR = 4
"""Features that functions of numba blend in one instruction. It stands here because numba is imported only where it is
used."""
