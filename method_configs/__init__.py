"""Registered nerfstudio methods. Imports are light, because a failure here would break every `ns-*` command."""

from __future__ import annotations

from dfa_nerfstudio.method_configs.dfa_nerf import dfa_nerf
from dfa_nerfstudio.method_configs.dfa_nerf_lite import dfa_nerf_lite
from dfa_nerfstudio.method_configs.dfa_nerf_paper import dfa_nerf_paper

__all__ = ["dfa_nerf", "dfa_nerf_lite", "dfa_nerf_paper"]
