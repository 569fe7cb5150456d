"""Options of ns-train that take one part of the method away, or put another in its place."""

from __future__ import annotations

_NETWORK = "pipeline.model.network:conditioned-field-config"
_PIXELS = "--pipeline.datamanager.pixels"
_NO_EYES = ["--pipeline.model.conditions.eyes", "False"]
_MFCC = ["dfa-data", "--audio-features", "mfcc"]

AS_IT_IS = "as it is"
"""With everything."""
ADNERF = "the AD-NeRF way: MFCC, no f_e"
"""Sound straight into the field, no eye feature; poses are the film's in self-reconstruction, for either."""
NO_EYES = "without f_e"
MFCC = "MFCC instead of f_a"

METHOD: dict[str, list[str]] = {
    AS_IT_IS: [],
    ADNERF: [*_NO_EYES, *_MFCC],
    NO_EYES: _NO_EYES,
    MFCC: _MFCC,
}
"""Rows of Tables 2 and 5 and of Fig. 7. What follows `dfa-data` is the data's."""

FIELD: dict[str, list[str]] = {
    "head space alone": [_NETWORK, "--pipeline.model.network.spaces", "head"],
    "torso space alone": [_NETWORK, "--pipeline.model.network.spaces", "torso"],
    "gates learned from nothing": [_NETWORK, "--pipeline.model.network.gates", "learned"],
    "no gates": ["--pipeline.model.losses.influence", "0", _NETWORK, "--pipeline.model.network.gates", "none"],
    "no influence penalty": ["--pipeline.model.losses.influence", "0"],
    "pose in colour alone": [_NETWORK, "--pipeline.model.network.pose", "colour"],
    "no pose": [_NETWORK, "--pipeline.model.network.pose", "none"],
    "no torso motion as condition": [_NETWORK, "--pipeline.model.network.torso-condition", "False"],
    "postures not drawn back": ["--pipeline.model.conditions.limit", "100"],
    "3-D hash grid": [_NETWORK, "--pipeline.model.network.grid.kind", "volume"],
    "no appearance code": ["--pipeline.model.appearance.dim", "0"],
    "appearance code for every frame": ["--pipeline.model.appearance.seconds", "0"],
    "mean appearance": ["--pipeline.model.appearance.neutral", "mean"],
    "appearance in the field too": [_NETWORK, "--pipeline.model.network.appearance", "True"],
    "background as it is": ["--pipeline.model.background.learned", "False"],
    "16 samples": ["--pipeline.model.num-samples", "16"],
    "mouth and eyes like all else": [f"{_PIXELS}.mouth", "0", f"{_PIXELS}.eyes", "0"],
    "not drawn by error": [f"{_PIXELS}.error", "0"],
    "refined head poses": ["--pipeline.model.camera-optimizer.mode", "SO3xR3"],
    "L1": ["--pipeline.model.losses.photometric", "l1"],
    "Huber": ["--pipeline.model.losses.photometric", "huber"],
    "opacity not held to the mask": ["--pipeline.model.losses.mask", "0"],
    "entropy of opacity": ["--pipeline.model.losses.entropy", "0.001"],
    "patches by structure": ["--pipeline.model.patches.structure", "0.03"],
    "average of weights": ["--pipeline.model.average", "0.99"],
}
"""Switches of the field. What follows the network's name is the network's."""

USUAL = (
    *("head space alone", "torso space alone", "no gates", "no pose", "no torso motion as condition"),
    *("3-D hash grid", "no appearance code", "mouth and eyes like all else"),
)
"""Those that are worth most: an hour at three minutes each, with `METHOD` and Table 4."""
