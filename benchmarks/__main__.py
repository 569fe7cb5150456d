"""`make bench`: measures every number that this project states.

make bench                                        all benchmarks, several hours on 2 cores
make bench BENCH=preprocessing                    dfa-process: head pose, eyes, jitter, speed
make bench BENCH=blinks                           dfa-process: blinks, against labels
make bench BENCH=memory                           dfa-process: peak memory by video length
make bench BENCH=frame-rates                      dfa-process: judder of sources with 24 to 60 frames/s
make bench BENCH=occlusion                        dfa-process: covered mouths and eyes of the demo subject
make bench BENCH=attributes                       attribute models: disentanglement and lip sync
make bench BENCH=lips                             lips from audio: own video, unseen people, little video
make bench BENCH=motion                           attribute models: head motion and blinks
make bench BENCH="end-to-end --seconds 60"        all commands on a real clip; shortened
make bench BENCH=field                            the field at 128x128: every variant and baseline
make bench BENCH="field --size 256 --seconds 900 --only 'full model'"
make bench BENCH=talk                             dfa-talk: memory, sync, silence, attribute edits, live latency
make bench BENCH="load --load-config C"            200 videos with ten bad ones, live clients for ten minutes
make bench BENCH="talk --only long --minutes 60 --size 48"    dfa-talk: memory over an hour of audio
make bench BENCH=sync                             the package's sync score on unseen people
make bench BENCH=ablation                         dfa-eval ablate: Tables 2, 4 and 5, Fig. 6, other speech, seeds
make bench BENCH=encodings                        throughput of feature grids by backend
make bench BENCH=training-memory                  ns-train: peak memory by video length
make bench BENCH=kills                            every command ended at 20 moments, and run again
make bench BENCH="words --load-config C"           lips of single words, closed at m, p and b, with a contact sheet
make bench BENCH="other-speech --load-config C"    sync and mouth motion in other speech, three languages
make bench BENCH="cost-model --load-config C"      samples, operations and time of rendering and training, beside peaks
make bench BENCH=app                              dfa-app in a browser: clicks and minutes to a talking video
make bench BENCH="live-server --load-config C"     dfa-serve: latency, pauses, interruption, clients, browser
make bench BENCH="pack --data D --target P"       packs a dataset folder into 40 MiB, to copy it to a GPU machine
make bench BENCH="cuda --data P --piece short"    on a GPU: one piece of the field benchmark, in less than 8 minutes
"""

from __future__ import annotations

import sys
from importlib import import_module

import tyro

from dfa_nerfstudio.errors import exit_on_user_error

BENCHMARKS = {
    "preprocessing": "preprocessing_quality.PreprocessingBenchmark",
    "blinks": "blink_detection.BlinkBenchmark",
    "memory": "preprocessing_memory.PreprocessingMemoryBenchmark",
    "frame-rates": "frame_rates.FrameRateBenchmark",
    "occlusion": "occlusion.OcclusionBenchmark",
    "training-memory": "training_memory.TrainingMemoryBenchmark",
    "attributes": "attribute_quality.AttributeBenchmark",
    "lips": "lip_quality.LipBenchmark",
    "motion": "head_motion.HeadMotionBenchmark",
    "end-to-end": "end_to_end.EndToEndBenchmark",
    "encodings": "grid_throughput.GridThroughputBenchmark",
    "field": "field_variants.FieldBenchmark",
    "talk": "talking_videos.TalkBenchmark",
    "load": "load.LoadBenchmark",
    "sync": "sync_score.SyncBenchmark",
    "ablation": "ablation_tables.AblationBenchmark",
    "kills": "kills.KillBenchmark",
}
"""Module and class of each benchmark. A module is imported only when its benchmark runs, because each needs other
packages."""
ON_REQUEST = {
    "words": "words.WordBenchmark",
    "other-speech": "other_speech.OtherSpeechBenchmark",
    "cost-model": "cost_model.CostModelBenchmark",
    "app": "app_way.AppBenchmark",
    "live-server": "live_server.LiveServerBenchmark",
    "pack": "packed_dataset.PackDataset",
    "cuda": "cuda.CudaBenchmark",
}
"""Benchmarks with required options, which run only when named."""


def main() -> None:
    """Runs the benchmark named by the first argument, or all of them with default options and the same --shared."""
    benchmarks = BENCHMARKS | ON_REQUEST
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first in benchmarks:
        del sys.argv[1]
    with exit_on_user_error():
        for name in [first] if first in benchmarks else BENCHMARKS:
            module, _, benchmark = benchmarks[name].partition(".")
            tyro.cli(getattr(import_module(f"benchmarks.{module}"), benchmark), prog=f"make bench BENCH={name}").run()


if __name__ == "__main__":
    main()
