"""Measures head motion and blinks: Table 4, error by horizon, a generated minute, and Fig. 6 as a number."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import MAIN_CLIP, Corpus, person, process_corpus, read_corpus
from benchmarks.identity_probe import LatentPoints
from benchmarks.motion_metrics import (
    HORIZONS,
    NUM_GENERATIONS,
    format_over_seeds,
    halves_metrics,
    horizon_errors,
    minute_metrics,
    table_4,
    table_4_by_person,
)
from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.motion_dataset import fit_motion_space, own_motion_sequences, prepare_motion_sequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_motion, train_on_corpus
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_models
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.motion.motion_prediction import MotionPredictionErrors, motion_prediction_errors
from dfa_nerfstudio.evaluation.motion.pose_axes import pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.evaluation.systems.motion.gp_vae_motion import GPVAEMotion
from dfa_nerfstudio.evaluation.systems.motion_rows import OURS, VAE_VARIANTS
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE

PRETRAINED, ALONE = "{}, fine-tuned from other people's", "{}, this clip alone"
HORIZON = round(HORIZONS[-1] * FRAME_RATE)
SPEECH = "english_60s.flac"


@dataclass
class HeadMotionBenchmark:
    """Compares the motion models of Table 4, in prediction and in a generated minute."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds of the trainings."""
    jobs: int = 2
    """Number of trainings that run in parallel."""
    processed: Path | None = None
    """Folder of finished dataset folders of all clips; without it they are processed anew."""
    config: PretrainConfig = field(default_factory=lambda: PretrainConfig(progress=False))
    """Options of training."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head, tables = record_header("cpu"), {}
        corpus = self.processed or process_corpus(self.shared, self.output / "corpus")
        material, main = read_corpus(corpus), corpus / MAIN_CLIP
        speech = train_on_corpus(material.recordings, self.config)
        tasks = [(name, seed, half) for seed in self.seeds for name in VAE_VARIANTS for half in (0, 1)]
        parts = Parallel(n_jobs=self.jobs)(delayed(self._trained)(material, speech, main, *task) for task in tasks)
        trained: dict[str, list[AttributeModels]] = {}
        predictions: dict[str, list[MotionPredictionErrors]] = {}
        unseen_people: dict[str, list[dict[str, list[MotionPredictionErrors]]]] = {}
        for (name, _, half), (own, unseen) in zip(tasks, parts, strict=True):
            title = ALONE.format(name) if half else PRETRAINED.format(name)
            trained.setdefault(title, []).append(own)
            predictions.setdefault(title, []).append(predict_held_out(own, material))
            unseen_people.setdefault(name, []).append(unseen)
        for name, both in unseen_people.items():
            unseen_people[name] = [first | second for first, second in zip(both[::2], both[1::2], strict=True)]

        frozen = next(iter(predictions.values()))[0]
        title = f"Table 4: held-out end of {MAIN_CLIP}, {frozen.windows} windows, percent of the range"
        tables[title] = [
            *(
                {"model": name, **format_over_seeds([table_4([one]) for one in several])}
                for name, several in predictions.items()
            ),
            {"model": "last pose frozen", **table_4([frozen.hold_last_pose()])},
        ]
        first = next(iter(unseen_people.values()))[0]
        frozen_poses = {name: [one.hold_last_pose() for one in several] for name, several in first.items()}
        tables[f"Table 4: {len(first)} unseen people, percent of the range"] = [
            *(
                {"model": name, **format_over_seeds([table_4_by_person(one) for one in several])}
                for name, several in unseen_people.items()
            ),
            {"model": "last pose frozen", **table_4_by_person(frozen_poses)},
        ]
        tables["percent of the range, by seconds after the beginning of pose"] = horizon_errors(predictions, OURS)
        folder = DatasetFolder.open(main)
        audio = read_audio(self.shared / "speech" / SPEECH)
        tables[f"a minute generated for {SPEECH}, {NUM_GENERATIONS} seeds each"] = [
            *(
                {"model": name, **format_over_seeds([minute_metrics(models, folder, audio) for models in several])}
                for name, several in trained.items()
            ),
            {"model": "the person: second half of the training frames vs the first", **halves_metrics(folder)},
        ]
        latent = [LatentPoints.of(models, material) for models in trained[PRETRAINED.format(OURS)]]
        latent[0].draw(self.output / "motion_identity.png")
        tables["motion identity: nearest neighbour from another clip"] = [
            {"seed": seed, **points.accuracy()} for seed, points in zip(self.seeds, latent, strict=True)
        ]
        write_record("motion_cpu", head, tables)
        tables["commands"] = self._commands(corpus)
        write_record("motion_cpu", head, tables)

    def _commands(self, corpus: Path) -> list[Row]:
        folder, pretrained = self.output / "motion_person", self.output / "pretrained_models.pt"
        shutil.copytree(corpus / MAIN_CLIP, folder, dirs_exist_ok=True)
        commands = {
            "dfa-attributes pretrain": ["pretrain", corpus, "--output", pretrained],
            "dfa-attributes": [folder],
            "dfa-attributes --pretrained": [folder, "--pretrained", pretrained],
        }
        return [{"command": name, **run_timed(["dfa-attributes", *words])} for name, words in commands.items()]

    def _trained(
        self,
        material: Corpus,
        speech: tuple[PretrainedModels, dict[str, int]],
        main: Path,
        name: str,
        seed: int,
        half: int,
    ) -> tuple[AttributeModels, dict[str, list[MotionPredictionErrors]]]:
        """Trains the person's models, and predicts unseen people's motion.

        Models of one half of all other people predict the motion of the other half. With `half` 0 the person's models
        are fine-tuned from those models; with `half` 1 they are trained on the clip alone.
        """
        torch.set_num_threads(1)
        architecture, prior = VAE_VARIANTS[name]
        latent = replace(self.config.models.latent, architecture=architecture, prior=prior)
        options = replace(self.config.models, latent=latent)
        speech_models, offsets = speech
        people = sorted({person(recording) for recording in material.recordings})
        train_people = set(np.random.default_rng(seed).permutation(people)[half::2])
        train = [recording for recording in material.recordings if person(recording) in train_people]
        others = [recording for recording in material.recordings if person(recording) not in train_people]
        torch.manual_seed(seed)
        models = PretrainedModels(options, speech_models.sizes["num_coefficients"], 0)
        SpeechModels.warm_start(models, speech_models)
        train_motion(models, train, offsets, replace(self.config, models=options, seed=seed))
        config = AttributesConfig(models=options, seed=seed, progress=False)
        if not half:
            config.pretrained = self.output / f"pretrained_{name}_{seed}.pt".replace(" ", "_")
            models.save(config.pretrained)
        min_frames = models.config.cross_modal.bop + HORIZON + 1
        unseen: dict[str, list[MotionPredictionErrors]] = {}
        for other in others:
            if int(other.valid_frames.sum()) <= min_frames:
                continue
            errors = predict_unseen(models, other, offsets)
            if errors.windows:  # none where cuts leave no part that is long enough
                unseen.setdefault(person(other), []).append(errors)
        folder = DatasetFolder.open(main)
        return train_models(folder.attributes, folder.num_train, config), unseen


def predict_held_out(models: AttributeModels, material: Corpus) -> MotionPredictionErrors:
    """Predicts motion over the held-out end of the main clip."""
    end = material.end
    sequences = own_motion_sequences(models, end.shift_audio(int(models.offset)))
    span = pose_range(pose_axes(torch.cat([material.main.pose, end.pose]).numpy()))
    return motion_prediction_errors(GPVAEMotion(models), models.motion, sequences, span, HORIZON)


def predict_unseen(models: PretrainedModels, recording: Recording, offsets: dict[str, int]) -> MotionPredictionErrors:
    """Predicts motion over a whole recording of an unseen person, of whom only the mean pose is known."""
    space = MotionSpace(models.config.disentangling.eye_dim)
    fit_motion_space(models, recording, EyeEmbedding(models.autoencoder), space, models.motion.scale)
    span = pose_range(pose_axes(recording.pose[recording.valid_frames].numpy()))
    sequences = prepare_motion_sequences(models, [recording], offsets)
    return motion_prediction_errors(GPVAEMotion(models), space, sequences, span, HORIZON)
