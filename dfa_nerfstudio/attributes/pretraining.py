"""Training the models of sections 3.2 and 3.3, on one recording or on a corpus."""

from __future__ import annotations

import copy
import json
import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from dfa_nerfstudio.attributes.disentangling import DisentanglingObjective
from dfa_nerfstudio.attributes.fitting import FitConfig, Hardware, Objective
from dfa_nerfstudio.attributes.offsets import measure_offsets
from dfa_nerfstudio.attributes.recordings import Recording, SoundAndLips, frame_weights, read_recordings
from dfa_nerfstudio.attributes.report import corpus_figures, print_figures
from dfa_nerfstudio.attributes.speech_models import SpeechConfig, SpeechModels
from dfa_nerfstudio.attributes.synchronisation import SynchronisationObjective
from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError


@dataclass
class PretrainConfig:
    """Options of `dfa-attributes pretrain`."""

    output: Path = Path("speech_models.pt")
    """The file of weights to write."""
    models: SpeechConfig = field(default_factory=SpeechConfig)
    """Options of each model."""
    effort: float = 2.0
    """Multiplies every model's training steps, which are those for a minute of one person."""
    validation: float = 0.1
    """Share of the recordings that train nothing, stop the training early and are reported on."""
    offsets: bool = True
    """Measure by how much each recording's sound comes late, and take it back."""
    resume: bool = False
    """Go on with what an interrupted run of the same options has left."""
    seed: int = 0
    """Makes the training repeatable."""
    progress: bool = True
    """Show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Where to train."""


@dataclass
class SpeechTraining:
    """How to train speech models; the same for a corpus, a person, and the halves that measure offsets."""

    effort: float = 1.0
    seed: int = 0
    progress: bool = True
    hardware: Hardware = field(default_factory=Hardware)
    resume: Path | None = None

    def run(self, objective: Objective, options: FitConfig, name: str, share: float = 1.0) -> None:
        """Minimises an objective with `share` of its steps."""
        from dfa_nerfstudio.attributes.lightning_fit import fit

        fit(
            objective,
            options.scaled(self.effort * share),
            name=name,
            seed=self.seed,
            progress=self.progress,
            hardware=self.hardware,
            resume=self.resume,
        )

    def faces(
        self,
        models: SpeechModels,
        recordings: list[Recording],
        check: list[Recording] | None = None,
    ) -> None:
        """Trains F_d, whose mean face is set, and takes the scale of f_m."""
        faces, weight = _faces(models, recordings)
        held_out = _faces(models, check)[0] if check else None
        objective = DisentanglingObjective(models.autoencoder, faces, weight, held_out)
        self.run(objective, models.config.disentangling.fit, "mouth and eyes")
        models.learn_lip_scale(recordings)

    def sound(
        self,
        models: SpeechModels,
        recordings: list[Recording],
        offsets: dict[str, int],
        check: list[Recording] | None = None,
        name: str = "sound and lips",
        share: float = 1.0,
    ) -> None:
        """Trains E_a and the mouth's encoder on f_m as it is."""
        training, checked = (
            SoundAndLips.of(part, [models.lip_embedding(models.faces(recording)) for recording in part], offsets)
            if part
            else None
            for part in (recordings, check)
        )
        assert training is not None
        objective = SynchronisationObjective(models.audio, models.mouth, training, checked)
        self.run(objective, models.config.audio.fit, name, share)

    def offsets(
        self, models: SpeechModels, recordings: list[Recording], unseen: list[Recording] | None = None
    ) -> dict[str, int]:
        """By how many rows each recording's sound comes late, measured with f_m as it is; see `measure_offsets`."""
        rounds = 0

        def half(seen: list[Recording], known: dict[str, int], start: SpeechModels | None) -> SpeechModels:
            nonlocal rounds
            rounds += 1
            torch.manual_seed(self.seed)
            made = start or _fresh_encoders(models)
            self.sound(made, seen, known, name=f"offsets {rounds} of 4", share=0.5)
            return made

        return measure_offsets(recordings, half, unseen)


def _fresh_encoders(models: SpeechModels) -> SpeechModels:
    """The same F_d with an untrained E_a."""
    made = SpeechModels(models.config, models.sizes["num_coefficients"])
    made.autoencoder = copy.deepcopy(models.autoencoder)
    made.lips_mean, made.lips_std = models.lips_mean.clone(), models.lips_std.clone()
    return made


def _faces(models: SpeechModels, recordings: list[Recording]) -> tuple[torch.Tensor, torch.Tensor]:
    """Useful faces [T, 68, 3] and how often each is drawn [T]."""
    drawn = frame_weights(recordings)
    faces = [models.faces(recording)[recording.useful] for recording in recordings]
    weights = [torch.full((len(part),), drawn[r.name]) for part, r in zip(faces, recordings, strict=True)]
    return torch.cat(faces), torch.cat(weights)


def train_on_corpus(
    recordings: list[Recording],
    config: PretrainConfig,
    check: list[Recording] | None = None,
    resume: Path | None = None,
) -> tuple[SpeechModels, dict[str, int]]:
    """Trains on many recordings.

    Args:
        recordings: what is learnt from.
        config: options.
        check: recordings that train nothing and choose the best weights.
        resume: folder in which the state is kept.

    Returns:
        The models and each recording's offset in rows, those of `check` too.

    Raises:
        UserError: for a single recording.
    """
    if len(recordings) < 2:
        raise UserError(
            f"{len(recordings)} recording to learn from; a corpus needs two or more (of one person: dfa-attributes DIR)"
        )
    training = SpeechTraining(config.effort, config.seed, config.progress, config.hardware, resume)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        models = SpeechModels(config.models, recordings[0].mfcc.shape[1])
        neutral = torch.stack([recording.neutral for recording in recordings]).mean(0)
        models.autoencoder.measure(
            neutral, torch.cat([recording.expression[recording.useful] for recording in recordings])
        )
        training.faces(models, recordings, check)
        offsets = training.offsets(models, recordings, check) if config.offsets else {}
        training.sound(models, recordings, offsets, check)
    return models.eval(), offsets


def pretrain(
    folders: tyro.conf.Positional[list[Path]], config: Annotated[PretrainConfig, tyro.conf.arg(name="")]
) -> None:
    """Trains on the training parts of many dataset folders; `dfa-attributes DIR --pretrained FILE` goes on from it.

    Args:
        folders: dataset folders, or folders of them.
        config: options.

    Raises:
        UserError: for a corpus that cannot be used.
    """
    if not config.effort > 0 or not 0 <= config.validation < 1:
        raise UserError("--effort must be above 0, and --validation from 0 to below 1")
    console = Console(soft_wrap=True)
    recordings, skipped = read_recordings(folders)
    for line in skipped:
        console.print(f"left out: {line}", highlight=False)
    aside = round(config.validation * len(recordings))
    check = set(random.Random(config.seed).sample(range(len(recordings)), aside))
    learnt = [recording for number, recording in enumerate(recordings) if number not in check]
    checked = [recordings[number] for number in sorted(check)]
    console.print(f"{len(learnt)} recordings to learn from, {len(checked)} to check with", highlight=False)
    resume = config.output.with_name(f".{config.output.stem}.resume")
    if not config.resume:
        shutil.rmtree(resume, ignore_errors=True)
    resume.mkdir(parents=True, exist_ok=True)
    _check_options(resume / "options.txt", f"{replace(config, resume=True)} {[recording.name for recording in learnt]}")
    models, offsets = train_on_corpus(learnt, config, checked, resume)
    models.save(config.output)
    figures = corpus_figures(models, checked, offsets)
    print_figures(figures, "recordings that trained nothing", console)
    report = {
        "figures": figures,
        "offsets_ms": {name: 10 * late for name, late in offsets.items()},
        "left_out": skipped,
    }
    with written_whole(config.output.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(report, indent=1))
    shutil.rmtree(resume)
    console.print(f"wrote {config.output}", highlight=False)


def _check_options(path: Path, options: str) -> None:
    """Notes the options beside an unfinished state, or compares them with those noted."""
    if path.is_file() and path.read_text() != options:
        raise UserError(f"{path.parent}: was left by a run with other options or recordings; run without --resume")
    path.write_text(options)
