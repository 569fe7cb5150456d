"""Measures lips predicted from audio, without a renderer: own video, unseen people, little and much video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import MAIN_CLIP, dataset_paths, person, process_corpus
from benchmarks.record import Row, record_header, write_record
from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.general_lips import general_lip_models
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.lip_models import LipModels
from dfa_nerfstudio.attributes.lips.train_lips import pretrain_lips, train_lips
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.audio_features import audio_feature_from_option, clip_audio_feature
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.media.rates import FRAME_RATE, MFCC_PER_FRAME
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement

Result = TypeVar("Result")
OWN_CLIPS = (MAIN_CLIP, "german_anchor_20s", "interview_6min_24fps")
"""Clips of the people whose own lip models are scored."""
FOLDS, MARGIN = 4, 12
"""Contiguous parts of a clip, and frames beside a scored part that are not trained on."""
PEOPLE_FOLDS = 4
"""Cross-validation folds by person."""
MIN_SECONDS = 10.0
"""Shortest clip of an unseen person that is scored."""
MAX_LAG = 6
"""Largest audio delay of a clip in frames that is corrected."""
LIP_CONFIGS = {
    "predicted": LipConfig(restore_variance=False, lip_projection=0.0),
    "restored": LipConfig(lip_projection=0.0),
    "restored, projected": LipConfig(),
}
"""Post-processing of the prediction."""


@dataclass
class LipBenchmark:
    """Correlation, amplitude and extremes of the lip gap predicted from audio alone."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/."""
    processed: Path | None = None
    """Folder of finished dataset folders of all clips; without it they are processed anew."""
    features: tuple[str, ...] = ("speech", "mfcc")
    """Audio features to compare; `whisper` and `whisper_short` (`benchmarks/short_whisper.py`) need weights."""
    jobs: int = 2
    """Number of trainings that run in parallel."""
    only: tuple[str, ...] = ()
    """Parts to measure: own, unseen, short, minutes; all by default."""
    clips: tuple[str, ...] = OWN_CLIPS
    """Clips of the people whose own lip models are scored."""
    config: AudioToLipsConfig = field(default_factory=AudioToLipsConfig)
    """Options of the lip model."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; writes the record after each table."""
        import_module("benchmarks.short_whisper")  # registers its feature
        head, tables = record_header("cpu"), {}
        record_name = "lips_cpu" if "speech" in self.features else f"lips_{'_'.join(self.features)}_cpu"
        folders = self.processed or process_corpus(self.shared, self.output / "corpus")
        for feature in self.features:
            corpus = list(read_corpus(folders, feature))
            lags = measure_lags(corpus, partial(self._pretrained, feature), self._parallel)
            corpus = [shifted(recording, lags.get(recording.name, 0)) for recording in corpus]
            parts: dict[str, Callable[[], list[Row]]] = {
                "unseen": partial(self._unseen, corpus, feature),
                "own": partial(self._own, corpus, feature),
                "short": partial(self._short, corpus, feature),
                "minutes": partial(self._minutes, corpus, feature),
            }
            for name in self.only or parts:
                tables[f"{name}, {feature}"] = parts[name]()
                write_record(record_name, head, tables)

    def _parallel(self, calls: list[Callable[[], Result]]) -> list[Result]:
        def one(call: Callable[[], Result]) -> Result:
            torch.set_num_threads(1)
            return call()

        return list(Parallel(n_jobs=self.jobs)(delayed(one)(call) for call in calls))

    def _models(self, feature: str, recording: Recording) -> LipModels:
        return LipModels(replace(self.config, features=feature), recording.speech.shape[1]).eval()

    def _pretrained(self, feature: str, recordings: list[Recording]) -> LipModels:
        models = self._models(feature, recordings[0])
        pretrain_lips(models, recordings)
        return models

    def _starts(self, corpus: list[Recording], feature: str, clip: str) -> dict[str, LipModels | None]:
        """Models that the lip model of the person in `clip` corrects."""
        recording = next(r for r in corpus if r.name == clip)
        others = [r for r in corpus if person(r) != person(recording)]
        config = replace(self.config, features=feature)
        general = general_lip_models(config, str(audio_feature_from_option(feature).kind))
        starts: dict[str, LipModels | None] = {"own video alone": None}
        if general is not None:
            starts["from the package's model"] = general
        return starts | {"from other people's": self._pretrained(feature, others)}

    def _trained(self, feature: str, train: Recording, start: LipModels | None) -> LipModels:
        """A lip model of one person."""
        models = self._models(feature, train)
        train_lips(models, [train], start)
        return models

    def _own(self, corpus: list[Recording], feature: str) -> list[Row]:
        """Each contiguous part of a clip, predicted by models of its other parts."""
        rows = []
        for clip in self.clips:
            recording = next(r for r in corpus if r.name == clip)
            for name, start in self._starts(corpus, feature, clip).items():
                calls = [
                    partial(self._score_part, feature, recording, test, start)
                    for test in contiguous_parts(len(recording))
                ]
                rows += pooled(f"{clip}, {name}", self._parallel(calls))
        return rows

    def _score_part(
        self, feature: str, recording: Recording, test: slice, start: LipModels | None
    ) -> dict[str, list[np.ndarray]]:
        train = without(recording, test)
        return openings(self._trained(feature, train, start), train, recording, test)

    def _unseen(self, corpus: list[Recording], feature: str) -> list[Row]:
        """Everybody's lips, predicted by models of other people."""
        scored = [r for r in corpus if len(r) >= MIN_SECONDS * FRAME_RATE and person(r) != "grid_s1"]
        calls = []
        for fold in range(PEOPLE_FOLDS):
            test = scored[fold::PEOPLE_FOLDS]
            train = [r for r in corpus if person(r) not in {person(t) for t in test}]
            calls.append(partial(self._score_unseen, feature, train, test))
        found = {name: scores for result in self._parallel(calls) for name, scores in result.items()}
        rows: list[Row] = [{"clip": recording.name, **found[recording.name]} for recording in scored]
        return [*rows, {"clip": f"mean of {len(scored)}", **mean_of(rows)}]

    def _score_unseen(self, feature: str, train: list[Recording], test: list[Recording]) -> dict:
        models, result = self._pretrained(feature, train), {}
        for recording in test:
            predicted = models.space.opening(models.predictor.predict(recording.speech)).numpy()
            true = gap(models, recording)
            result[recording.name] = {
                "r": correlation(predicted, true),
                "r_at_own_lag": own_lag_correlation(predicted, true),
                "r_other_audio": correlation(np.roll(predicted, len(predicted) // 2), true),
            }
        return result

    def _short(self, corpus: list[Recording], feature: str) -> list[Row]:
        """Ten and twenty seconds of the main clip, the other frames scored."""
        recording, rows = next(r for r in corpus if r.name == MAIN_CLIP), []
        starts = self._starts(corpus, feature, MAIN_CLIP)
        for seconds in (10, 20):
            length = round(seconds * FRAME_RATE)
            parts = [slice(a, a + length) for a in np.linspace(0, len(recording) - length, 4).astype(int)]
            for name, start in starts.items():
                calls = [partial(self._score_short, feature, recording, part, start) for part in parts]
                rows += pooled(f"{seconds} s, {name}", self._parallel(calls))
        return rows

    def _score_short(
        self, feature: str, recording: Recording, train: slice, start: LipModels | None
    ) -> dict[str, list[np.ndarray]]:
        own = recording.part(train)
        models = self._trained(feature, own, start)
        rest = [slice(0, max(train.start - MARGIN, 0)), slice(train.stop + MARGIN, len(recording))]
        parts = [openings(models, own, recording, test) for test in rest if test.stop - test.start > MARGIN]
        return {
            name: [np.concatenate(values) for values in zip(*(part[name] for part in parts), strict=True)]
            for name in parts[0]
        }

    def _minutes(self, corpus: list[Recording], feature: str) -> list[Row]:
        """The interview's last minute, after more and more of its video."""
        recording, rows = next(r for r in corpus if r.name == OWN_CLIPS[-1]), []
        starts = self._starts(corpus, feature, OWN_CLIPS[-1])
        last = len(recording) - round(60 * FRAME_RATE)
        for minutes in (0.5, 1, 2, 4, (last - MARGIN) / 60 / FRAME_RATE):
            own = recording.part(slice(last - MARGIN - round(60 * FRAME_RATE * minutes), last - MARGIN))
            for name, start in starts.items():
                models = self._trained(feature, own, start)
                scores = openings(models, own, recording, slice(last, None))
                rows += pooled(f"{minutes:.1f} minutes, {name}", [scores])
        return rows


def read_corpus(folders: Path, feature: str, keep: Callable[[Path], bool] = lambda path: True) -> Iterator[Recording]:
    """Reads all frames of the dataset folders whose path `keep` accepts, with an audio feature."""
    for path, relative in dataset_paths(folders):
        if keep(path):
            folder = DatasetFolder.open(path)
            rows = clip_audio_feature(folder, feature)
            yield Recording.from_clip(folder.attributes, slice(None), str(relative), relative.parts[0], rows)


def measure_lags(
    corpus: list[Recording], pretrain: Callable[[list[Recording]], LipModels], parallel: Callable
) -> dict[str, int]:
    """Measures the audio delay of each recording in frames, by lip models of one half of the people for the other half.

    Two rounds; the second trains on recordings that are corrected by the first. All clips of one speaker share a lag.
    """
    people, lags = sorted({person(recording) for recording in corpus}), {}

    def half(number: int, lags: dict[str, int]) -> dict[str, int]:
        train = [shifted(r, lags.get(r.name, 0)) for r in corpus if people.index(person(r)) % 2 == number]
        models = pretrain(train)
        found: dict[str, list[float]] = {}
        for recording in corpus:
            if people.index(person(recording)) % 2 != number:
                predicted = models.space.opening(models.predictor.predict(recording.speech)).numpy()
                true = gap(models, recording)
                curve = [correlation(predicted, true, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)]
                key = person(recording) if person(recording) == "grid_s1" else recording.name
                found[key] = list(np.add(found.get(key, np.zeros(2 * MAX_LAG + 1)), curve))
        best = {key: int(np.argmax(curve)) - MAX_LAG for key, curve in found.items()}
        return {r.name: best[key] for r in corpus if (key := person(r) if person(r) == "grid_s1" else r.name) in best}

    for _ in range(2):
        first, second = parallel([partial(half, number, lags) for number in range(2)])
        lags = first | second
    return lags


def shifted(recording: Recording, lag: int) -> Recording:
    """The recording with audio that is `lag` frames later, which corrects lips that are as late."""
    return recording.shift_audio(-lag * MFCC_PER_FRAME)


def without(recording: Recording, test: slice) -> Recording:
    """The recording with the frames of `test`, and `MARGIN` beside them, marked as invalid."""
    shot = recording.shot.clone()
    shot[max(test.start - MARGIN, 0) : test.stop + MARGIN] = -1
    return replace(recording, shot=shot)


def contiguous_parts(length: int) -> list[slice]:
    """The frames in `FOLDS` contiguous parts."""
    edges = np.linspace(0, length, FOLDS + 1).astype(int)
    return [slice(int(first), int(stop)) for first, stop in pairwise(edges)]


def gap(models: LipModels, recording: Recording) -> np.ndarray:
    """True lip gap [T]; NaN in invalid frames."""
    opening = models.space.opening(models.space.encode(recording.expression)).numpy().copy()
    opening[~recording.valid_frames.numpy()] = np.nan
    return opening


@torch.no_grad()
def openings(models: LipModels, train: Recording, recording: Recording, test: slice) -> dict[str, list[np.ndarray]]:
    """Predicted and true lip gap of the frames of `test`, for each post-processing and with audio of other frames, and
    the true one without the frames in which nobody speaks."""
    shapes = models.space.encode(train.expression[train.valid_frames])
    closed = models.closed_shape(shapes)
    true, result = gap(models, recording)[test], {}
    for name, config in LIP_CONFIGS.items():
        lips = torch.cat(list(models.stream([recording.speech[test]], [recording.voice[test]], shapes, closed, config)))
        predicted = models.space.opening(lips).numpy()
        result[name] = [predicted, true]
    result["audio of other frames"] = [np.roll(predicted, len(predicted) // 2), true]
    voice = recording.voice[test].numpy()
    return {name: [*both, np.where(voice, both[1], np.nan)] for name, both in result.items()}


def pooled(title: str, results: list[dict[str, list[np.ndarray]]]) -> list[Row]:
    """Scores of each post-processing, over the frames of all parts."""
    rows: list[Row] = []
    for name in results[0]:
        agreement = [curve_agreement(*result[name][:2]) for result in results]
        pooled_curves = [np.concatenate(values) for values in zip(*(result[name] for result in results), strict=True)]
        rows.append(
            {
                "lips": f"{title}: {name}",
                "parts": len(results),
                "r_mean_of_parts": float(np.mean([one.correlation for one in agreement])),
                **curve_agreement(*pooled_curves[:2])._asdict(),
                "closed_recall_in_speech": curve_agreement(pooled_curves[0], pooled_curves[2]).closed_recall,
            }
        )
    return rows


def correlation(predicted: np.ndarray, true: np.ndarray, lag: int = 0) -> float:
    """Correlation of the prediction with the truth `lag` frames later, over valid frames."""
    predicted, true = (
        predicted[max(-lag, 0) : len(predicted) - max(lag, 0)],
        true[max(lag, 0) :][: len(true) - abs(lag)],
    )
    valid = np.isfinite(true)
    return float(np.corrcoef(predicted[valid], true[valid])[0, 1])


def own_lag_correlation(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean correlation of the two halves, each at the lag of the highest correlation of the other half."""
    middle = len(predicted) // 2
    halves = [(predicted[part], true[part]) for part in (slice(middle), slice(middle, None))]
    lags = [max(range(-MAX_LAG, MAX_LAG + 1), key=partial(correlation, *half)) for half in halves]
    return float(np.mean([correlation(*half, lag) for half, lag in zip(halves, lags[::-1], strict=True)]))


def mean_of(rows: list[dict]) -> dict[str, float]:
    """Mean of each number."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "clip"}
