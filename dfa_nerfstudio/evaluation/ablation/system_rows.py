"""The rows of the paper's Tables 2 and 5: systems as combinations of a field, a lip model and a motion model."""

from __future__ import annotations

from dataclasses import dataclass

from dfa_nerfstudio.evaluation.ablation.variants import ADNERF_CONDITIONING, F_A, FULL_MODEL, MFCC, SPEECH
from dfa_nerfstudio.evaluation.systems import lip_rows, motion_rows


@dataclass(frozen=True)
class System:
    """The idea of a published system, in the place of ours."""

    image_row: str
    """Row of `IMAGE_ROWS`: the field and its lips."""
    motion_row: str
    """Row of `motion_rows.MOTION_ROWS`."""


LIP_IMAGE_ROWS = (
    *(lip_rows.MFCC_LSTM, lip_rows.SPEECH_LSTM, lip_rows.PROJECTED_LSTM),
    *(lip_rows.SYNC_EXPERT, lip_rows.ONE_VIDEO, lip_rows.SHIFTED, lip_rows.MEAN),
)
"""Lip models that drive the field of the full model."""

TABLE_5 = (FULL_MODEL, F_A, SPEECH, MFCC, *LIP_IMAGE_ROWS)
"""What conditions the field on the audio: lips by several models, or an audio feature."""

SYSTEMS: dict[str, System] = {
    "ATVG": System(lip_rows.MFCC_LSTM, motion_rows.STILL),
    "MakeItTalk": System(lip_rows.SPEECH_LSTM, motion_rows.SPEAKER_AWARE),
    "Wav2Lip": System(lip_rows.SYNC_EXPERT, motion_rows.SOURCE),
    "Live Speech Portraits": System(lip_rows.PROJECTED_LSTM, motion_rows.AUTOREGRESSIVE),
    "AD-NeRF": System(ADNERF_CONDITIONING, motion_rows.SOURCE),
    "DFA-NeRF, the paper's f_a": System(F_A, motion_rows.OURS),
    "DFA-NeRF, lips f_m": System(FULL_MODEL, motion_rows.OURS),
}
"""Rows of Table 2. Each row has the part that distinguishes the system, and all fields are trained equally long."""
