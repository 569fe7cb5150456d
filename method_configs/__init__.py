"""The registered methods. Light imports only: a failure here would break every `ns-*` command."""

from __future__ import annotations

import dfa_nerfstudio.nerfstudio_patches  # noqa: F401  nerfstudio's checkpoints open under torch >= 2.6 from here on
from dfa_nerfstudio.method_configs.dfa_nerf import dfa_nerf
from dfa_nerfstudio.method_configs.dfa_nerf_lite import dfa_nerf_lite
from dfa_nerfstudio.method_configs.dfa_nerf_paper import dfa_nerf_paper

__all__ = ["dfa_nerf", "dfa_nerf_lite", "dfa_nerf_paper"]
