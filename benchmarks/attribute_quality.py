"""Measures disentanglement and lip sync: by clip, by person, and on the held-out end of one clip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, product
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import MAIN_CLIP, MIN_FRAMES, WEAK_SYNC_CLIP, Corpus, join, person, process_corpus, read_corpus
from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.attributes.attribute_report import cross_similarity, recording_curves, sync_shares
from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.disentanglement_metrics import probe_metrics, swap_metrics
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation, ridge_predict
from dfa_nerfstudio.attributes.motion_space import rotation_vector
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_on_corpus
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, is_in_sync
from dfa_nerfstudio.attributes.train_attributes import train_speech_models

FOLDS, PEOPLE_FOLDS = 10, 5
"""Cross-validation folds by clip and by person."""
NUM_CANDIDATES = 10
"""Number of audio clips among which the right one is to be found."""


@dataclass
class Fold:
    """Training and test recordings of one cross-validation fold."""

    train: list[Recording]
    test: list[Recording]
    seed: int
    offsets: dict[str, int] = field(default_factory=dict)
    """Measured audio-video offset of each training recording, in MFCC rows of 10 ms."""

    def corrected(self, recording: Recording) -> Recording:
        """Shifts a test recording's audio by the mean offset of the training recordings in its group."""
        offsets = [self.offsets.get(other.name, 0) for other in self.train if other.group == recording.group]
        return recording.shift_audio(round(float(np.mean(offsets))) if offsets else 0)


@dataclass
class AttributeBenchmark:
    """Disentanglement and lip sync on held-out clips of one speaker, the end of one clip, and unseen people."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds of the trainings."""
    jobs: int = 2
    """Number of trainings that run in parallel."""
    losses: tuple[str, ...] = ("bce", "infonce")
    """Contrastive losses to compare: Eq. 3 (bce) and InfoNCE."""
    features: tuple[str, ...] = ("mfcc", "speech")
    """What E_a reads: MFCC, as in the paper, and the states of the package's speech encoder."""
    only: tuple[str, ...] = ()
    """Parts to measure: clips, own, people, pretrain; all by default."""
    processed: Path | None = None
    """Folder of finished dataset folders of all clips; without it they are processed anew."""
    config: PretrainConfig = field(default_factory=lambda: PretrainConfig(progress=False, step_multiplier=2.0))
    """Options of training."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; writes the record after each table."""
        head, tables = record_header("cpu"), {}
        corpus = self.processed or process_corpus(self.shared, self.output / "corpus")
        titles = {
            "clips": f"held-out clips of grid_s1 ({FOLDS} folds) and held-out end of {MAIN_CLIP}",
            "own": f"{MAIN_CLIP}'s own models, its held-out end",
            "people": f"unseen people ({PEOPLE_FOLDS} folds by person)",
        }
        measures = {"clips": self._by_clip, "own": self._single_clip, "people": self._by_person}
        for feature in self.features:
            material = read_corpus(corpus, feature)
            for loss, part in product(self.losses, titles):
                if part in (self.only or titles):
                    tables[f"{loss}, {feature}: {titles[part]}"] = measures[part](material, loss)
                    write_record("attributes_cpu", head, tables)
        if "pretrain" in (self.only or ["pretrain"]):
            tables["one training on all clips"] = [self._pretrain(corpus)]
            write_record("attributes_cpu", head, tables)

    def _pretrain(self, corpus: Path) -> Row:
        command = ["dfa-attributes", "pretrain", corpus, "--output", self.output / "pretrained_models.pt"]
        return {"command": "dfa-attributes pretrain", **run_timed(command)}

    def _config(self, loss: str, seed: int) -> PretrainConfig:
        models = replace(self.config.models, audio=replace(self.config.models.audio, loss=loss))
        return replace(self.config, models=models, seed=seed)

    def _trained(self, folds: list[Fold], loss: str, score: Callable[[SpeechModels, Fold], dict]) -> list[dict]:
        def one(fold: Fold) -> dict:
            torch.set_num_threads(1)
            start = time.monotonic()
            models, fold.offsets = train_on_corpus(fold.train, self._config(loss, fold.seed))
            return {**score(models, fold), "seconds": time.monotonic() - start}

        return list(Parallel(n_jobs=self.jobs)(delayed(one)(fold) for fold in folds))

    def _by_clip(self, material: Corpus, loss: str) -> list[Row]:
        clips = [recording for recording in material.recordings if "grid_s1" in recording.name]
        folds = []
        for seed in self.seeds:
            order = np.random.default_rng(seed).permutation(len(clips))
            for number in range(FOLDS):
                held = {clips[index].name for index in order[number::FOLDS]}
                train = [material.main, *(r for r in material.recordings if r.name not in held)]
                test = [*(clip for clip in clips if clip.name in held), material.end]
                folds.append(Fold(train, test, seed))
        scores = self._trained(folds, loss, score_clips)
        rows = []
        for name in dict.fromkeys(chain.from_iterable(scores)):
            by_seed = [np.mean([score[name] for score in scores[i : i + FOLDS]]) for i in range(0, len(scores), FOLDS)]
            rows.append({"metric": name, **interval(by_seed)})
        return rows

    def _single_clip(self, material: Corpus, loss: str) -> list[Row]:
        """Trains as `dfa-attributes` does, without and with `--pretrained` on everybody else."""

        def one(seed: int, pretrain: bool) -> dict[str, float]:
            torch.set_num_threads(1)
            config, main, start = self._config(loss, seed), material.main, time.monotonic()
            pretrained = train_on_corpus(material.recordings, config)[0] if pretrain else None
            torch.manual_seed(seed)
            models = SpeechModels(config.models, main.mfcc.shape[1])
            offset = train_speech_models(models, AttributeTrainer(1.0, seed, False), main, pretrained=pretrained)
            models.eval()
            f_a = [models.audio.features(part.shift_audio(offset).mfcc) for part in (main, material.end)]
            openings = [part.mouth_opening[:, None] for part in (main, material.end)]
            fitted, scored = zip(f_a, openings, strict=True)
            return {
                **sync_shares(recording_curves(models, material.end, offset)),
                "mouth opening from f_a, correlation": ridge_correlation(fitted, scored)[0],
                "seconds": time.monotonic() - start,
            }

        rows: list[Row] = []
        for pretrain, title in ((False, "this clip alone"), (True, "pretrained on everybody else")):
            seeds = list(Parallel(n_jobs=self.jobs)(delayed(one)(seed, pretrain) for seed in self.seeds))
            for name in seeds[0]:
                rows.append({"metric": f"{title}: {name}", **interval([metrics[name] for metrics in seeds])})
        return rows

    def _by_person(self, material: Corpus, loss: str) -> list[Row]:
        whole = [*material.recordings, join(material.main, material.end)]
        scored = sorted(
            {person(r) for r in whole if len(r) >= MIN_FRAMES and person(r) not in ("grid_s1", WEAK_SYNC_CLIP)}
        )
        folds = []
        for seed in self.seeds:
            order = np.random.default_rng(seed).permutation(len(scored))
            for number in range(PEOPLE_FOLDS):
                held = {scored[index] for index in order[number::PEOPLE_FOLDS]}
                train = [recording for recording in whole if person(recording) not in held]
                test = [recording for recording in whole if person(recording) in held and len(recording) >= MIN_FRAMES]
                folds.append(Fold(train, test, seed))
        each: dict[str, list[dict[str, float]]] = {}
        for scores in self._trained(folds, loss, score_people):
            scores.pop("seconds")
            for name, metrics in scores.items():
                each.setdefault(name, []).append(metrics)
        rows: list[Row] = []
        for name, seeds in sorted(each.items()):
            rows.append({"clip": name} | {key: float(np.mean([one[key] for one in seeds])) for key in seeds[0]})
        columns = [key for key in rows[0] if key != "clip"]
        rows.append({"clip": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in columns})
        column = "sync at own offset, 2 s"
        by_seed = [np.mean([metrics[index][column] for metrics in each.values()]) for index in range(len(self.seeds))]
        rows.append({"clip": f"mean, {column}, by seed", **interval(by_seed)})
        return rows


def score_clips(models: SpeechModels, fold: Fold) -> dict[str, float]:
    """Scores one fold of held-out clips, and the held-out end of the main clip."""
    *clips, end = map(fold.corrected, fold.test)
    metrics: dict[str, float] = {}
    untrained = SpeechModels(models.config, models.sizes["num_coefficients"])
    untrained.autoencoder = models.autoencoder
    untrained.lips_mean, untrained.lips_std = models.lips_mean, models.lips_std
    linear = predict_lips_from_mfcc(models, fold.train, [*clips, end])
    for title, curves_of in (
        ("trained", lambda recording: recording_curves(models, recording)),
        ("untrained", lambda recording: recording_curves(untrained, recording)),
        ("MFCC, linear", lambda recording: curves_of_prediction(models, linear[recording.name], recording)),
        ("trained, audio of another clip", lambda clip: recording_curves(models, with_audio_of_next(clip, clips))),
    ):
        curves = [curves_of(clip) for clip in clips]
        for seconds, frames in ((3.0, 45), (1.0, 25), (0.4, 10)):  # of a whole clip of 3 s, 45 frames are compared
            shares = [float(is_in_sync(curve.unfold(0, frames, 1).mean(-1)).mean()) for curve in curves]
            metrics[f"grid_s1, {title}: {seconds:g} s"] = float(np.mean(shares))
        if "another" not in title:
            metrics |= {f"{MAIN_CLIP}, {title}: {key}": value for key, value in sync_shares(curves_of(end)).items()}
    candidates = clips[:NUM_CANDIDATES]
    metrics[f"grid_s1: right audio among {len(candidates)}"] = float(
        (cross_similarity(models, candidates).argmax(1) == torch.arange(len(candidates))).float().mean()
    )
    faces = torch.cat([models.faces(clip)[clip.valid_frames] for clip in clips])
    metrics |= {f"grid_s1: {key}": value for key, value in swap_metrics(models.autoencoder, faces).items()}
    metrics |= {
        f"{MAIN_CLIP}: {key}": value for key, value in swap_metrics(models.autoencoder, models.faces(end)).items()
    }
    main = next(recording for recording in fold.train if recording.name == end.name)
    others = torch.cat(
        [models.faces(other)[other.valid_frames] for other in fold.train if other.group == clips[0].group]
    )
    for name, pair in (("grid_s1", (others, faces)), (MAIN_CLIP, (models.faces(main), models.faces(end)))):
        metrics |= {f"{name}: {key}": value for key, value in probe_metrics(models.autoencoder, *pair).items()}
    metrics |= {f"{MAIN_CLIP}: {key}": value for key, value in mouth_leakage(models, main, end).items()}
    return metrics


def mouth_leakage(models: SpeechModels, main: Recording, end: Recording) -> dict[str, float]:
    """R2 of a linear probe of mouth opening from f_e and head pose, for true and for shuffled frames."""
    with torch.no_grad():
        eyes = [models.autoencoder.encode(models.faces(recording))[1] for recording in (main, end)]
    poses = [torch.cat([rotation_vector(r.pose[:, :3, :3]), r.pose[:, :3, 3]], 1) for r in (main, end)]  # [T, 6]
    inputs = [torch.cat([eye, pose], 1) for eye, pose in zip(eyes, poses, strict=True)]
    mouths = [r.mouth_opening[:, None] for r in (main, end)]
    order = torch.randperm(len(main), generator=torch.Generator().manual_seed(0))
    return {
        f"mouth opening from f_e and pose{title}, R2": ridge_correlation(
            (inputs[0][rows], mouths[0]), (inputs[1], mouths[1])
        )[1]
        for title, rows in (("", torch.arange(len(main))), (", shuffled", order))
    }


def score_people(models: SpeechModels, fold: Fold) -> dict[str, dict[str, float]]:
    """Scores each recording of people that the models were not trained on."""
    result = {}
    for recording in fold.test:
        curves = recording_curves(models, recording)
        wrong = sync_shares(recording_curves(models, with_reversed_audio(recording)))
        result[recording.name] = {
            "offset, frames": float(curves.mean(0).argmax() - curves.shape[1] // 2),
            **{key: value for key, value in sync_shares(curves).items() if "0.4" not in key},
            "reversed audio, sync at own offset, 2 s": wrong["sync at own offset, 2 s"],
        }
    return result


def with_reversed_audio(recording: Recording) -> Recording:
    """Returns the recording with reversed audio: as much speech, none of it in sync."""
    return replace(recording, mfcc=recording.mfcc.flip(0))


def with_audio_of_next(recording: Recording, others: list[Recording]) -> Recording:
    """Returns the recording with the audio of the next one."""
    index = next(number for number, other in enumerate(others) if other.name == recording.name)
    mfcc = others[(index + 1) % len(others)].mfcc
    rows = torch.arange(len(recording.mfcc)).clamp(max=len(mfcc) - 1)
    return replace(recording, mfcc=mfcc[rows])


def predict_lips_from_mfcc(
    models: SpeechModels, train: list[Recording], test: list[Recording]
) -> dict[str, torch.Tensor]:
    """Predicts f_m [T, M] of each test recording from windows of MFCC by least squares."""

    def windows(recordings: list[Recording]) -> torch.Tensor:
        return torch.cat([models.audio.windows(recording.mfcc).flatten(1) for recording in recordings])

    lips = torch.cat([models.lip_embedding(models.faces(recording)) for recording in train])
    predicted = ridge_predict((windows(train), lips), windows(test))
    return {r.name: part for r, part in zip(test, predicted.split([len(r) for r in test]), strict=True)}


def curves_of_prediction(models: SpeechModels, predicted: torch.Tensor, recording: Recording) -> torch.Tensor:
    """Returns `frame_curves` between predicted f_m and the recording's own f_m."""
    true = models.lip_embedding(models.faces(recording))
    return frame_curves(*(torch.nn.functional.normalize(side, dim=-1) for side in (predicted, true)))


def interval(values: list[float]) -> dict[str, float]:
    """Mean, minimum and maximum over seeds."""
    return {"mean": float(np.mean(values)), "min": float(np.min(values)), "max": float(np.max(values))}
