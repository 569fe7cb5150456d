"""Disentangling and synchronisation: by clip, by person, and on the held-out end of one film."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import LEAST, MAIN, WEAK, Corpus, join, person, process_corpus, read_corpus
from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.attributes.attribute_report import confusion, recording_curves, sync_of
from dfa_nerfstudio.attributes.attribute_trainer import Training
from dfa_nerfstudio.attributes.disentanglement_metrics import readings, swap_figures
from dfa_nerfstudio.attributes.linear_probe import linear_reading, ridge_correlation
from dfa_nerfstudio.attributes.motion_space import rotation_vector
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_on_corpus
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, in_sync
from dfa_nerfstudio.attributes.train_attributes import train_speech

FOLDS, PEOPLE_FOLDS = 10, 5
AMONG = 10


@dataclass
class Fold:
    """What is learnt from and what is scored."""

    train: list[Recording]
    test: list[Recording]
    seed: int
    offsets: dict[str, int] = field(default_factory=dict)
    """Of the recordings that were learnt from, as measured."""

    def corrected(self, recording: Recording) -> Recording:
        """With the offset taken back that the training recordings of its group have."""
        late = [self.offsets.get(other.name, 0) for other in self.train if other.group == recording.group]
        return recording.in_step(round(float(np.mean(late))) if late else 0)


@dataclass
class Attributes:
    """Mouth and eyes apart, sound and lips in step: held-out clips of one speaker, a film's end, people never seen."""

    shared: Path = Path("../shared")
    """Where the test material lies."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings."""
    jobs: int = 2
    """Trainings at a time."""
    losses: tuple[str, ...] = ("bce", "infonce")
    """Eq. 3, and the other one."""
    processed: Path | None = None
    """Dataset folders of all clips that are there already."""
    config: PretrainConfig = field(default_factory=lambda: PretrainConfig(progress=False, effort=2.0))
    """Options of the training."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; the record grows table by table."""
        head, tables = header("cpu"), {}
        corpus = self.processed or process_corpus(self.shared, self.output / "corpus")
        material = read_corpus(corpus)
        parts: dict[str, Callable[[], list[Row]]] = {}
        for loss in self.losses:
            by_clip, by_person = partial(self._by_clip, material, loss), partial(self._by_person, material, loss)
            parts[f"{loss}: held-out clips of grid_s1 ({FOLDS} folds) and held-out end of {MAIN}"] = by_clip
            parts[f"{loss}: {MAIN}'s own model, its held-out end"] = partial(self._of_one, material, loss)
            parts[f"{loss}: people never seen ({PEOPLE_FOLDS} folds by person)"] = by_person
        parts["one training on all of that"] = lambda: [self._pretrain(corpus)]
        for title, measured in parts.items():
            tables[title] = measured()
            write_record("attributes_cpu", head, tables)

    def _pretrain(self, corpus: Path) -> Row:
        command = ["dfa-attributes", "pretrain", corpus, "--output", self.output / "general_models.pt"]
        return {"command": "dfa-attributes pretrain", **timed(command)}

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
            rows.append({"figure": name, **interval(by_seed)})
        return rows

    def _of_one(self, material: Corpus, loss: str) -> list[Row]:
        """What `dfa-attributes` trains, without and with `--pretrained` on everybody else."""

        def one(seed: int, pretrain: bool) -> dict[str, float]:
            torch.set_num_threads(1)
            config, main, start = self._config(loss, seed), material.main, time.monotonic()
            pretrained = train_on_corpus(material.recordings, config)[0] if pretrain else None
            torch.manual_seed(seed)
            models = SpeechModels(config.models, main.mfcc.shape[1])
            late = train_speech(models, Training(1.0, seed, False), main, pretrained=pretrained)
            models.eval()
            heard = [models.audio.features(part.in_step(late).mfcc) for part in (main, material.end)]
            openings = [part.mouth_opening[:, None] for part in (main, material.end)]
            fitted, scored = zip(heard, openings, strict=True)
            return {
                **sync_of(recording_curves(models, material.end, late)),
                "mouth opening from f_a, correlation": ridge_correlation(fitted, scored)[0],
                "seconds": time.monotonic() - start,
            }

        rows: list[Row] = []
        for pretrain, title in ((False, "this film alone"), (True, "pretrained on everybody else")):
            seeds = list(Parallel(n_jobs=self.jobs)(delayed(one)(seed, pretrain) for seed in self.seeds))
            for name in seeds[0]:
                rows.append({"figure": f"{title}: {name}", **interval([figures[name] for figures in seeds])})
        return rows

    def _by_person(self, material: Corpus, loss: str) -> list[Row]:
        whole = [*material.recordings, join(material.main, material.end)]
        scored = sorted({person(r) for r in whole if len(r) >= LEAST and person(r) not in ("grid_s1", WEAK)})
        folds = []
        for seed in self.seeds:
            order = np.random.default_rng(seed).permutation(len(scored))
            for number in range(PEOPLE_FOLDS):
                held = {scored[index] for index in order[number::PEOPLE_FOLDS]}
                train = [recording for recording in whole if person(recording) not in held]
                test = [recording for recording in whole if person(recording) in held and len(recording) >= LEAST]
                folds.append(Fold(train, test, seed))
        each: dict[str, list[dict[str, float]]] = {}
        for scores in self._trained(folds, loss, score_people):
            scores.pop("seconds")
            for name, figures in scores.items():
                each.setdefault(name, []).append(figures)
        rows: list[Row] = []
        for name, seeds in sorted(each.items()):
            rows.append({"clip": name} | {key: float(np.mean([one[key] for one in seeds])) for key in seeds[0]})
        columns = [key for key in rows[0] if key != "clip"]
        rows.append({"clip": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in columns})
        asked = "as the rest, 2 s"
        by_seed = [np.mean([figures[index][asked] for figures in each.values()]) for index in range(len(self.seeds))]
        rows.append({"clip": f"mean, {asked}, by seed", **interval(by_seed)})
        return rows


def score_clips(models: SpeechModels, fold: Fold) -> dict[str, float]:
    """Figures of one fold of held-out clips and of the film's end."""
    *clips, end = map(fold.corrected, fold.test)
    figures: dict[str, float] = {}
    untrained = SpeechModels(models.config, models.sizes["num_coefficients"])
    untrained.autoencoder = models.autoencoder
    untrained.lips_mean, untrained.lips_std = models.lips_mean, models.lips_std
    linear = heard_linearly(models, fold.train, [*clips, end])
    for title, curves_of in (
        ("trained", lambda recording: recording_curves(models, recording)),
        ("untrained", lambda recording: recording_curves(untrained, recording)),
        ("MFCC, linear", lambda recording: curves_from(models, linear[recording.name], recording)),
        ("trained, sound of another clip", lambda recording: recording_curves(models, mistaken(recording, clips))),
    ):
        curves = [curves_of(clip) for clip in clips]
        for seconds, frames in ((3.0, 45), (1.0, 25), (0.4, 10)):  # 3 s: a whole clip, in which 45 frames are compared
            shares = [float(in_sync(curve.unfold(0, frames, 1).mean(-1)).mean()) for curve in curves]
            figures[f"grid_s1, {title}: {seconds:g} s"] = float(np.mean(shares))
        if "another" not in title:
            figures |= {f"{MAIN}, {title}: {key}": value for key, value in sync_of(curves_of(end)).items()}
    among = clips[:AMONG]
    figures[f"grid_s1: right sound among {len(among)}"] = float(
        (confusion(models, among).argmax(1) == torch.arange(len(among))).float().mean()
    )
    faces = torch.cat([models.faces(clip)[clip.useful] for clip in clips])
    figures |= {f"grid_s1: {key}": value for key, value in swap_figures(models.autoencoder, faces).items()}
    figures |= {f"{MAIN}: {key}": value for key, value in swap_figures(models.autoencoder, models.faces(end)).items()}
    main = next(recording for recording in fold.train if recording.name == end.name)
    others = torch.cat([models.faces(other)[other.useful] for other in fold.train if other.group == clips[0].group])
    for name, pair in (("grid_s1", (others, faces)), (MAIN, (models.faces(main), models.faces(end)))):
        figures |= {f"{name}: {key}": value for key, value in readings(models.autoencoder, *pair).items()}
    figures |= {f"{MAIN}: {key}": value for key, value in from_eyes_and_pose(models, main, end).items()}
    return figures


def from_eyes_and_pose(models: SpeechModels, main: Recording, end: Recording) -> dict[str, float]:
    """R2 of mouth opening, read from f_e and head pose together: of the frames, and of frames in another order."""
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
    """Figures of each recording of people that the models have not seen."""
    result = {}
    for recording in fold.test:
        curves = recording_curves(models, recording)
        wrong = sync_of(recording_curves(models, backwards(recording)))
        result[recording.name] = {
            "offset, frames": float(curves.mean(0).argmax() - curves.shape[1] // 2),
            **{key: value for key, value in sync_of(curves).items() if "0.4" not in key},
            "sound backwards, as the rest, 2 s": wrong["as the rest, 2 s"],
        }
    return result


def backwards(recording: Recording) -> Recording:
    """The same with its sound played backwards: as much speech, and none of it in step."""
    return replace(recording, mfcc=recording.mfcc.flip(0))


def mistaken(recording: Recording, others: list[Recording]) -> Recording:
    """The same with the sound of the next one."""
    index = next(number for number, other in enumerate(others) if other.name == recording.name)
    mfcc = others[(index + 1) % len(others)].mfcc
    rows = torch.arange(len(recording.mfcc)).clamp(max=len(mfcc) - 1)
    return replace(recording, mfcc=mfcc[rows])


def heard_linearly(models: SpeechModels, train: list[Recording], test: list[Recording]) -> dict[str, torch.Tensor]:
    """f_m [T, M] of each test recording as least squares predict it from windows of MFCC."""

    def windows(recordings: list[Recording]) -> torch.Tensor:
        return torch.cat([models.audio.windows(recording.mfcc).flatten(1) for recording in recordings])

    lips = torch.cat([models.lip_embedding(models.faces(recording)) for recording in train])
    heard = linear_reading((windows(train), lips), windows(test))
    return {r.name: part for r, part in zip(test, heard.split([len(r) for r in test]), strict=True)}


def curves_from(models: SpeechModels, heard: torch.Tensor, recording: Recording) -> torch.Tensor:
    """`frame_curves` of f_m as it is seen and as it is heard."""
    seen = models.lip_embedding(models.faces(recording))
    return frame_curves(*(torch.nn.functional.normalize(side, dim=-1) for side in (heard, seen)))


def interval(values: list[float]) -> dict[str, float]:
    """Mean over seeds, and the least and greatest of them."""
    return {"mean": float(np.mean(values)), "least": float(np.min(values)), "greatest": float(np.max(values))}
