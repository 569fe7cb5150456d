"""Head motion and blinks: Table 4, the curve of error against horizon, a generated minute, and Fig. 6 as a number."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import MAIN, Corpus, person, process_corpus, read_corpus
from benchmarks.identity_probe import LatentPoints
from benchmarks.motion_metrics import HORIZONS, MINUTES, across, by_person, curves, halves, minute, table_4
from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.eye_embedding import EyeEmbedding
from dfa_nerfstudio.attributes.motion_dataset import learn_motion, motion_sequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_motion, train_on_corpus
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_models
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.ablation.motion_variants import MOTION, foretell
from dfa_nerfstudio.evaluation.motion.motion_prediction import Prediction, prediction
from dfa_nerfstudio.evaluation.motion.pose_axes import pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE

OURS = "Transformer GP-VAE"
PRETRAINED, ALONE = "{}, gone on from other people's", "{}, this film alone"
HORIZON = round(HORIZONS[-1] * FRAME_RATE)
SPEECH = "english_60s.flac"


@dataclass
class Motion:
    """Head motion and blinks: the variants of Table 4, and what a generated minute is like."""

    shared: Path = Path("../shared")
    """Where the test material lies."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings."""
    jobs: int = 2
    """Trainings at a time."""
    processed: Path | None = None
    """Dataset folders of all clips that are there already."""
    config: PretrainConfig = field(default_factory=lambda: PretrainConfig(progress=False))
    """Options of the training."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Measures everything; the record grows table by table."""
        head, tables = header("cpu"), {}
        corpus = self.processed or process_corpus(self.shared, self.output / "corpus")
        material, main = read_corpus(corpus), corpus / MAIN
        speech = train_on_corpus(material.recordings, self.config)
        tasks = [(name, seed, half) for seed in self.seeds for name in MOTION for half in (0, 1)]
        parts = Parallel(n_jobs=self.jobs)(delayed(self._trained)(material, speech, main, *task) for task in tasks)
        trained: dict[str, list[AttributeModels]] = {}
        foretold: dict[str, list[Prediction]] = {}
        strangers: dict[str, list[dict[str, list[Prediction]]]] = {}
        for (name, _, half), (own, unseen) in zip(tasks, parts, strict=True):
            title = ALONE.format(name) if half else PRETRAINED.format(name)
            trained.setdefault(title, []).append(own)
            foretold.setdefault(title, []).append(foretell_end(own, material))
            strangers.setdefault(name, []).append(unseen)
        for name, both in strangers.items():
            strangers[name] = [first | second for first, second in zip(both[::2], both[1::2], strict=True)]

        frozen = next(iter(foretold.values()))[0]
        tables[f"Table 4: the held-out end of {MAIN}, {frozen.windows} windows, percent of the range"] = [
            *({"model": name, **across([table_4([one]) for one in several])} for name, several in foretold.items()),
            {"model": "last pose frozen", **table_4([frozen.standing_still()])},
        ]
        first = next(iter(strangers.values()))[0]
        still = {name: [one.standing_still() for one in several] for name, several in first.items()}
        tables[f"Table 4: {len(first)} people never seen, percent of the range"] = [
            *({"model": name, **across([by_person(one) for one in several])} for name, several in strangers.items()),
            {"model": "last pose frozen", **by_person(still)},
        ]
        tables["percent of the range against seconds after the beginning of pose"] = curves(foretold, OURS)
        folder = DatasetFolder.open(main)
        sound = read_audio(self.shared / "speech" / SPEECH)
        tables[f"a minute generated for {SPEECH}, {MINUTES} seeds each"] = [
            *(
                {"model": name, **across([minute(models, folder, sound) for models in several])}
                for name, several in trained.items()
            ),
            {"model": "the person: second half of the training frames against the first", **halves(folder)},
        ]
        latent = [LatentPoints.of(models, material) for models in trained[PRETRAINED.format(OURS)]]
        latent[0].draw(self.output / "whose_motion.png")
        tables["whose motion it is: nearest neighbour from another film"] = [
            {"seed": seed, **points.accuracy()} for seed, points in zip(self.seeds, latent, strict=True)
        ]
        write_record("motion_cpu", head, tables)
        tables["commands"] = self._commands(corpus)
        write_record("motion_cpu", head, tables)

    def _commands(self, corpus: Path) -> list[Row]:
        folder, general = self.output / "motion_person", self.output / "general_models.pt"
        shutil.copytree(corpus / MAIN, folder, dirs_exist_ok=True)
        commands = {
            "dfa-attributes pretrain": ["pretrain", corpus, "--output", general],
            "dfa-attributes": [folder],
            "dfa-attributes --pretrained": [folder, "--pretrained", general],
        }
        return [{"command": name, **timed(["dfa-attributes", *words])} for name, words in commands.items()]

    def _trained(
        self,
        material: Corpus,
        speech: tuple[GeneralModels, dict[str, int]],
        main: Path,
        name: str,
        seed: int,
        half: int,
    ) -> tuple[AttributeModels, dict[str, list[Prediction]]]:
        """The person's models, and what models of one half of all other people foretell of the other half's motion.

        The person's are gone on with from those of the first half; with the second half they are of the film alone.
        """
        torch.set_num_threads(1)
        architecture, prior = MOTION[name]
        latent = replace(self.config.models.latent, architecture=architecture, prior=prior)
        options = replace(self.config.models, latent=latent)
        heard, offsets = speech
        people = sorted({person(recording) for recording in material.recordings})
        chosen = set(np.random.default_rng(seed).permutation(people)[half::2])
        learnt = [recording for recording in material.recordings if person(recording) in chosen]
        others = [recording for recording in material.recordings if person(recording) not in chosen]
        torch.manual_seed(seed)
        models = GeneralModels(options, heard.sizes["num_coefficients"])
        SpeechModels.start_from(models, heard)
        train_motion(models, learnt, offsets, replace(self.config, models=options, seed=seed))
        config = AttributesConfig(models=options, seed=seed, progress=False)
        if not half:
            config.pretrained = self.output / f"general_{name}_{seed}.pt".replace(" ", "_")
            models.save(config.pretrained)
        least = models.config.cross_modal.bop + HORIZON + 1
        unseen: dict[str, list[Prediction]] = {}
        for other in others:
            if int(other.useful.sum()) > least:
                unseen.setdefault(person(other), []).append(foretell_stranger(models, other, offsets))
        folder = DatasetFolder.open(main)
        return train_models(folder.attributes, folder.num_train, config), unseen


def foretell_end(models: AttributeModels, material: Corpus) -> Prediction:
    """Predictions over the held-out end of the main film."""
    end = material.end
    audio = models.audio.features(end.in_step(int(models.offset)).mfcc)
    return foretell(models, end, audio, pose_axes(torch.cat([material.main.pose, end.pose]).numpy()), HORIZON)


def foretell_stranger(models: GeneralModels, recording: Recording, offsets: dict[str, int]) -> Prediction:
    """Predictions over a whole recording of somebody of whom the models know nothing but the mean posture."""
    space = MotionSpace(models.config.disentangling.eye_dim)
    learn_motion(models, recording, EyeEmbedding(models.autoencoder), space, models.motion.scale)
    span = pose_range(pose_axes(recording.pose[recording.useful].numpy()))
    return prediction(models, space, motion_sequences(models, [recording], offsets), span, HORIZON)
