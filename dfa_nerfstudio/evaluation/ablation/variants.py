"""Variants of the method for ablations, as options of ns-train that remove or replace one part."""

from __future__ import annotations

_NETWORK = "pipeline.model.network:conditioned-field-config"
_PIXELS = "--pipeline.datamanager.pixels"
_NO_EYES = ["--pipeline.model.conditions.eyes", "False"]
_MFCC = ["dfa-data", "--mouth", "mfcc"]

FULL_MODEL = "full model"
"""The method unchanged."""
ADNERF_CONDITIONING = "AD-NeRF conditioning: MFCC, no f_e"
"""The field is conditioned on MFCC and on no eye feature; poses are those of the video, as for the full model."""
NO_EYES = "without f_e"
F_A = "f_a instead of lips f_m"
"""The paper's condition: the field itself learns lips from the synchronised audio feature."""
SPEECH = "speech features instead of lips f_m"
MFCC = "MFCC instead of lips f_m"

FIELD_CONDITIONS: dict[str, list[str]] = {
    FULL_MODEL: [],
    ADNERF_CONDITIONING: [*_NO_EYES, *_MFCC],
    NO_EYES: _NO_EYES,
    F_A: ["dfa-data", "--mouth", "f_a"],
    SPEECH: ["dfa-data", "--mouth", "speech"],
    MFCC: _MFCC,
}
"""What conditions the field. Options after `dfa-data` are those of the dataparser."""

FIELD_VARIANTS: dict[str, list[str]] = {
    "head space only": [_NETWORK, "--pipeline.model.network.spaces", "head"],
    "torso space only": [_NETWORK, "--pipeline.model.network.spaces", "torso"],
    "learned gates": [_NETWORK, "--pipeline.model.network.gates", "learned"],
    "no gates": ["--pipeline.model.losses.gate-penalty", "0", _NETWORK, "--pipeline.model.network.gates", "none"],
    "no gate penalty": ["--pipeline.model.losses.gate-penalty", "0"],
    "pose in colour only": [_NETWORK, "--pipeline.model.network.pose", "colour"],
    "no pose": [_NETWORK, "--pipeline.model.network.pose", "none"],
    "no torso condition": [_NETWORK, "--pipeline.model.network.torso-condition", "False"],
    "no mouth warp": [_NETWORK, "--pipeline.model.network.warp-resolution", "0"],
    "no pose clamping": ["--pipeline.model.conditions.pose-limit", "100"],
    "3-D hash grid": [_NETWORK, "--pipeline.model.network.grid.kind", "volume"],
    "no appearance code": ["--pipeline.model.appearance.dim", "0"],
    "appearance code per frame": ["--pipeline.model.appearance.interval-seconds", "0"],
    "mean appearance": ["--pipeline.model.appearance.neutral", "mean"],
    "fixed background": ["--pipeline.model.background.learned", "False"],
    "16 samples": ["--pipeline.model.num-samples", "16"],
    "no mouth and eye sampling": [f"{_PIXELS}.mouth", "0", f"{_PIXELS}.eyes", "0"],
    "no error-based sampling": [f"{_PIXELS}.error", "0"],
    "squared error": ["--pipeline.model.losses.robust", "0"],
    "no mask loss": ["--pipeline.model.losses.mask", "0"],
    "SSIM patch loss": ["--pipeline.model.patches.ssim", "0.03"],
}
"""Variants of the field. Options after the network's name are those of the network."""

DEFAULT_FIELD_VARIANTS = (
    *("head space only", "torso space only", "no gates", "no pose", "no torso condition"),
    *("3-D hash grid", "no appearance code", "no mouth and eye sampling"),
)
"""Variants with the largest effect."""
