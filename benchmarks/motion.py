"""Head motion and blinks: Table 4, the curve of error against horizon, a generated minute, and Fig. 6 as a number."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.corpus import MAIN, Corpus, person, read_corpus
from benchmarks.record import Row, header, timed, write_record
from dfa_nerfstudio.attributes.bundle import AttributeModels
from dfa_nerfstudio.attributes.general_models import GeneralModels
from dfa_nerfstudio.attributes.generation import generate_track
from dfa_nerfstudio.attributes.measured_motion import motion_sequences
from dfa_nerfstudio.attributes.pretraining import PretrainConfig, train_motion, train_on_corpus
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.training import AttributesConfig, train_models
from dfa_nerfstudio.data.audio import read_audio
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE, DatasetFolder
from dfa_nerfstudio.evaluation.motion.blinking import Blinking
from dfa_nerfstudio.evaluation.motion.diversity import diversity
from dfa_nerfstudio.evaluation.motion.energy import motion_energy
from dfa_nerfstudio.evaluation.motion.identity import identity_accuracy
from dfa_nerfstudio.evaluation.motion.pose_axes import AXES, PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_range
from dfa_nerfstudio.evaluation.motion.prediction import Prediction, prediction
from dfa_nerfstudio.evaluation.motion.seams import worst_seam
from dfa_nerfstudio.evaluation.motion.spectrum import spectrum_distance
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, usual_step
from dfa_nerfstudio.evaluation.motion.training_range import outside_share
from dfa_nerfstudio.preprocessing.sound.mfcc import mfcc

OURS, ALONE = "Transformer GP-VAE", "Transformer GP-VAE, of this film alone"
VARIANTS = {
    "MLP VAE": ("mlp", "independent"),
    "LSTM VAE": ("lstm", "independent"),
    "Transformer VAE": ("transformer", "independent"),
    OURS: ("transformer", "gaussian-process"),
}
HORIZONS = (0.2, 0.5, 1.0, 2.0)
"""Seconds after the beginning of pose."""
SPEECH = "english_60s.flac"
MINUTES = 3
"""Seeds of generation for each training."""


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
        corpus = self.processed or self.output / "corpus"
        if not self.processed:
            command = ["dfa-process", self.shared / "clips", "--output", corpus, "--size", "128", "--jobs", "2"]
            timed([*command, "--overwrite", "--camera", "still"])
        material, folder = read_corpus(corpus), DatasetFolder.open(corpus / MAIN)
        speech = train_on_corpus(material.recordings, self.config)
        tasks = [(name, seed) for seed in self.seeds for name in (*VARIANTS, ALONE)]
        made = Parallel(n_jobs=self.jobs)(delayed(self._trained)(material, speech, folder, *task) for task in tasks)
        trained = {
            name: [models for task, models in zip(tasks, made, strict=True) if task[0] == name] for name, _ in tasks
        }

        foretold = {name: [foretell(models, material) for models in several] for name, several in trained.items()}
        frozen = foretold[OURS][0]
        tables[f"Table 4: the held-out end of {MAIN}, {frozen.windows} windows, percent of the range"] = [
            *({"model": name, **across([table_4(one) for one in several])} for name, several in foretold.items()),
            {
                "model": "last pose frozen",
                **across([table_4(replace(frozen, mean=frozen.frozen, sample=frozen.frozen))]),
            },
        ]
        tables["percent of the range against seconds after the beginning of pose"] = curves(foretold)
        sound = read_audio(self.shared / "speech" / SPEECH)
        tables[f"a minute generated for {SPEECH}, {MINUTES} seeds each"] = [
            *(
                {"model": name, **across([minute(models, folder, sound) for models in trained[name]])}
                for name in (OURS, ALONE, "LSTM VAE")
            ),
            {"model": "the person: its second half against its first", **halves(folder)},
        ]
        tables["whose motion it is: nearest neighbour from another film"] = [
            {"seed": seed, **identity(models, material)} for seed, models in zip(self.seeds, trained[OURS], strict=True)
        ]
        write_record("motion_cpu", head, tables)
        person = self.output / "motion_person"
        shutil.copytree(corpus / MAIN, person, dirs_exist_ok=True)
        general = self.output / "general_models.pt"
        commands = {
            "dfa-attributes pretrain": ["pretrain", corpus, "--output", general],
            "dfa-attributes": [person],
            "dfa-attributes --pretrained": [person, "--pretrained", general],
        }
        tables["commands"] = [
            {"command": name, **timed(["dfa-attributes", *words])} for name, words in commands.items()
        ]
        write_record("motion_cpu", head, tables)

    def _trained(
        self,
        material: Corpus,
        speech: tuple[GeneralModels, dict[str, int]],
        folder: DatasetFolder,
        name: str,
        seed: int,
    ) -> AttributeModels:
        torch.set_num_threads(1)
        config = AttributesConfig(seed=seed, progress=False)
        if name != ALONE:
            architecture, prior = VARIANTS[name]
            latent = replace(self.config.models.latent, architecture=architecture, prior=prior)
            models = replace(self.config.models, latent=latent)
            general = self._general(material, speech, replace(self.config, models=models, seed=seed))
            config.pretrained = self.output / f"general_{name}_{seed}.pt".replace(" ", "_")
            general.save(config.pretrained)
        return train_models(folder.attributes, folder.num_train, config)

    def _general(
        self, material: Corpus, speech: tuple[GeneralModels, dict[str, int]], config: PretrainConfig
    ) -> GeneralModels:
        heard, offsets = speech
        torch.manual_seed(config.seed)
        models = GeneralModels(config.models, heard.sizes["num_coefficients"])
        SpeechModels.start_from(models, heard)
        train_motion(models, material.recordings, offsets, config)
        return models


def foretell(models: AttributeModels, material: Corpus) -> Prediction:
    """Predictions over the held-out end."""
    whole = torch.cat([material.main.pose, material.end.pose])
    return prediction(models, material.end, pose_range(pose_axes(whole.numpy())), round(HORIZONS[-1] * FRAME_RATE))


def table_4(one: Prediction) -> dict[str, float]:
    """D-Rot and D-Pos, means over the horizon."""
    figures = dict(zip(("D-Rot, reconstruction", "D-Pos, reconstruction"), one.reconstruction, strict=True))
    for title, curve in (("mean", one.mean), ("samples", one.sample)):
        figures |= {
            f"{axis}, {title}": float(value) for axis, value in zip(("D-Rot", "D-Pos"), curve.mean(0), strict=True)
        }
    return figures


def curves(foretold: dict[str, list[Prediction]]) -> list[Row]:
    """Errors at each of the horizons; means over seeds."""
    frames = [round(seconds * FRAME_RATE) - 1 for seconds in HORIZONS]
    rows: list[Row] = []
    for axis, name in enumerate(("D-Rot", "D-Pos")):
        series = {"last pose frozen": [foretold[OURS][0].frozen]}
        for model, several in foretold.items():
            series[f"{model}, mean"] = [one.mean for one in several]
        series[f"{OURS}, samples"] = [one.sample for one in foretold[OURS]]
        for title, seeds in series.items():
            mean = np.mean([curve[frames, axis] for curve in seeds], 0)
            rows.append({name: title} | {f"{s:g} s": float(v) for s, v in zip(HORIZONS, mean, strict=True)})
    return rows


def minute(models: AttributeModels, folder: DatasetFolder, sound: np.ndarray) -> dict[str, float]:
    """What generated motion is like, beside the person's own in the training frames."""
    clip, count = folder.attributes, folder.num_train
    own, shot = pose_axes(clip.head_to_camera[:count]), clip.shot[:count]
    start = time.monotonic()
    heard = models.audio_features(mfcc(sound, len(sound) * FRAME_RATE // 16_000))
    tracks = [generate_track(models, heard, seed=0)]
    seconds = time.monotonic() - start
    tracks += [generate_track(models, heard, seed=seed) for seed in range(1, MINUTES)]
    motions = [pose_axes(track.head_to_camera.numpy()) for track in tracks]
    hop = models.config.cross_modal.window - models.config.cross_modal.bop
    blinks = [Blinking.of(models.eye.to_opening(track.eye).numpy()) for track in tracks]
    true = Blinking.of(clip.eye_opening[:count])
    energy = np.mean([motion_energy(motion) for motion in motions], 0) / motion_energy(own, shot)
    return {
        **{f"energy, {axis}": float(value) for axis, value in zip(AXES, energy, strict=True)},
        **compared(motions, own, shot),
        "worst seam": max(worst_seam(motion, range(hop, len(motion), hop), own, shot) for motion in motions),
        "diversity": diversity(motions, own),
        "outside the training range": float(np.mean([outside_share(motion, own) for motion in motions])),
        "blinks, of own rate": float(np.mean([one.rate for one in blinks])) / true.rate,
        "blinks, frames longer": FRAME_RATE * float(np.mean([one.duration for one in blinks]) - true.duration),
        "seconds": seconds,
    }


def compared(motions: list[PoseAxes], own: PoseAxes, shot: np.ndarray) -> dict[str, float]:
    """Stillness and spectrum beside the person's own."""
    usual = usual_step(own, shot)
    return {
        "frozen": float(np.mean([frozen_fraction(motion, usual) for motion in motions])),
        "frozen, own": frozen_fraction(own, usual, shot),
        "spectrum distance, dB": float(np.mean([spectrum_distance(motion, own) for motion in motions])),
    }


def halves(folder: DatasetFolder) -> dict[str, float]:
    """The same figures of one half of the training frames beside the other."""
    clip, count = folder.attributes, folder.num_train
    own, shot = pose_axes(clip.head_to_camera[:count]), clip.shot[:count]
    middle = count // 2
    energy = motion_energy(own[middle:], shot[middle:]) / motion_energy(own[:middle], shot[:middle])
    return {
        **{f"energy, {axis}": float(value) for axis, value in zip(AXES, energy, strict=True)},
        **compared([own[middle:]], own[:middle], shot[:middle]),
        "outside the training range": float(outside_share(own[middle:], own[:middle]).mean()),
    }


@torch.no_grad()
def identity(models: AttributeModels, material: Corpus) -> dict[str, float]:
    """Of z of stretches of one window: without sound (E_h) and with it (E_ah)."""
    points: dict[str, list[np.ndarray]] = {"without sound": [], "with sound": []}
    people, clips = [], []
    length, tau = models.config.cross_modal.window, models.config.cross_modal.bop
    for recording in [*material.recordings, material.main]:
        motion, audio = motion_sequences(models, [recording]).windows(length, length // 2)
        if len(motion):
            points["without sound"].append(summary(models.vae.encode(motion).mean))
            points["with sound"].append(summary(models.cross_modal(audio, motion[:, :tau], models.vae).mean))
            people += [person(recording)] * len(motion)
            clips += [recording.name] * len(motion)
    several = [name for name in set(people) if len({c for p, c in zip(people, clips, strict=True) if p == name}) > 1]
    chance = np.mean([people.count(name) / len(people) for name in people if name in several])
    accuracy = {title: identity_accuracy(np.concatenate(z), people, clips) for title, z in points.items()}
    return {**accuracy, "chance": float(chance), "people asked for": len(several)}


def summary(latent: torch.Tensor) -> np.ndarray:
    """Mean and logarithm of the spread over time of each latent channel [N, 2 Z]: how a head moves, of any length."""
    return torch.cat([latent.mean(-1), latent.std(-1).clamp(min=1e-3).log()], 1).numpy()


def across(seeds: list[dict[str, float]]) -> dict[str, str]:
    """Mean over seeds, and how far they spread."""
    row = {}
    for name in seeds[0]:
        values = [figures[name] for figures in seeds]
        spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
        row[name] = f"{np.mean(values):.2f}{spread}"
    return row
