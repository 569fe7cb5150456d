"""Names of all rows of `dfa-eval ablate`, in groups that are tables."""

from __future__ import annotations

from typing import Literal, get_args

from dfa_nerfstudio.evaluation.ablation.dubbing_table import DUBBING_ROWS
from dfa_nerfstudio.evaluation.ablation.system_rows import LIP_IMAGE_ROWS, SYSTEMS, TABLE_5
from dfa_nerfstudio.evaluation.ablation.variants import (
    ADNERF_CONDITIONING,
    DEFAULT_FIELD_VARIANTS,
    FIELD_CONDITIONS,
    FIELD_VARIANTS,
    FULL_MODEL,
    NO_EYES,
)
from dfa_nerfstudio.evaluation.systems import lip_rows, motion_rows

RowGroup = Literal["table2", "table4", "table5", "fig7", "field", "motion", "lips", "dubbing"]
DEFAULT_GROUPS: tuple[RowGroup, ...] = ("table2", "table4", "table5", "fig7", "field")

GROUPS: dict[RowGroup, tuple[str, ...]] = {
    "table2": tuple(SYSTEMS),
    "table4": tuple(motion_rows.TABLE_4),
    "table5": TABLE_5,
    "fig7": (FULL_MODEL, NO_EYES, ADNERF_CONDITIONING),
    "field": (FULL_MODEL, *DEFAULT_FIELD_VARIANTS),
    "motion": (motion_rows.OURS, *motion_rows.OTHER_SYSTEMS),
    "lips": tuple(lip_rows.LIP_ROWS),
    "dubbing": tuple(DUBBING_ROWS),
}
"""Rows of each group."""
assert set(GROUPS) == set(get_args(RowGroup))

IMAGE_ROWS = (*FIELD_CONDITIONS, *FIELD_VARIANTS, *LIP_IMAGE_ROWS)
"""Rows that are rendered and evaluated on the held-out end."""
