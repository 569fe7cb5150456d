"""Compiled functions for images of one frame, and for the field in training.

`triton_renderer` runs `triton_kernel` on a GPU, `numba_renderer` runs `numba_kernel` on a CPU: marching, the field and
compositing together. `kernel_check` compares their first picture with that of `march`, which is the reference and
renders where neither can be used. `numba_field` runs `numba_training_kernel`, the field with its gradient, on a CPU,
and compares it with plain torch.
"""

VECTOR = 4
"""Features that functions of numba blend in one instruction. It stands here because numba is imported only where it is
used."""
