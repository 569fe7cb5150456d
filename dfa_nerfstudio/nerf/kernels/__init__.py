"""Rendering of one frame by a single compiled function: marching, the field and compositing together.

`triton_renderer` runs `triton_kernel` on a GPU, `numba_renderer` runs `numba_kernel` on a CPU. `kernel_check` compares
their first picture with that of `march`, which is the reference and renders where neither can be used.
"""
