"""DFA-NeRF as a nerfstudio method: personalised talking heads by disentangled face attributes.

The Python API, which the commands use too:

| name | effect |
|---|---|
| `process(video, output, config)` | converts a video of one person to a dataset folder |
| `train(folder, output, config)` | trains attribute models and renderer, and returns the run's `config.yml` |
| `train_attributes(folder, config)` | trains the attribute models of a dataset folder alone |
| `load(run)` | a trained `Person`: `talk(audio)` gives frames and files, `stream(chunks)` frames of live audio |
| `render_batch(run, audio, output)` | talking videos of many audio files, in several processes or on a Ray cluster |
| `evaluate(run, config)` | metrics of the held-out end of the person's video |
| `PersonFolder(path)` | all of this in one folder, stage by stage, resumable, as `dfa-make` does |
| `progress_listener(function)` | within its block, `function` is called with the progress of everything above |

Bad input raises `UserError`. Names are imported when they are used, so that `import dfa_nerfstudio` takes no time.

Example:

    import dfa_nerfstudio as dfa

    dfa.process("me.mp4", "data/me", dfa.ProcessConfig(size=128))
    run = dfa.train("data/me", "models/me", dfa.TrainConfig(minutes=3))
    dfa.load(run).talk("speech.wav").save("talking.mp4")
"""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfa_nerfstudio.api import (
        AttributesConfig,
        AudioConditioningConfig,
        Evaluation,
        EvaluationConfig,
        JobsConfig,
        MotionConfig,
        Person,
        PersonFolder,
        ProcessConfig,
        ProcessReport,
        Progress,
        TalkingVideo,
        TrainConfig,
        UserError,
        VideoConfig,
        evaluate,
        load,
        process,
        progress_listener,
        render_batch,
        train,
        train_attributes,
    )

__version__ = "0.1.0"
__all__ = [
    "AttributesConfig",
    "AudioConditioningConfig",
    "Evaluation",
    "EvaluationConfig",
    "JobsConfig",
    "MotionConfig",
    "Person",
    "PersonFolder",
    "ProcessConfig",
    "ProcessReport",
    "Progress",
    "TalkingVideo",
    "TrainConfig",
    "UserError",
    "VideoConfig",
    "evaluate",
    "load",
    "process",
    "progress_listener",
    "render_batch",
    "train",
    "train_attributes",
]

# What nerfstudio 1.1.5 says at its import on every computer, or on one without a GPU; nobody can do anything about it.
warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.", category=FutureWarning)
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("dfa_nerfstudio.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
