"""The stages of training: mouth and eyes, sound and lips, how late sound comes, motion, sound to motion."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dfa_nerfstudio.attributes.av_offset import measure_offsets
from dfa_nerfstudio.attributes.contrastive_loss import SynchronisationObjective
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalObjective
from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective
from dfa_nerfstudio.attributes.gp_vae_objective import GPVAEObjective
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Hardware, Objective
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.attributes.recordings import Recording, SoundAndLips, frame_weights
from dfa_nerfstudio.attributes.speech_models import SpeechModels


@dataclass
class Training:
    """How to train; the same for a corpus, a person, and the halves that measure offsets."""

    effort: float = 1.0
    seed: int = 0
    progress: bool = True
    hardware: Hardware = field(default_factory=Hardware)
    resume: Path | None = None

    def run(self, objective: Objective, options: FitConfig, name: str, share: float = 1.0) -> None:
        """Minimises an objective with `share` of its steps."""
        from dfa_nerfstudio.attributes.lightning_module import fit

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

    def motion(self, models: GeneralModels, learnt: MotionSequences, check: MotionSequences | None = None) -> None:
        """Trains the latent space of motion (Fig. 4a)."""
        models.vae.begin_with(learnt.motion, learnt.shot)
        self.run(GPVAEObjective(models.vae, learnt, check), models.config.latent.fit, "motion")

    def sound_to_motion(
        self, models: GeneralModels, learnt: MotionSequences, check: MotionSequences | None = None
    ) -> None:
        """Trains E_ah on the latent space as it is (Fig. 4b)."""
        config = models.config.cross_modal
        models.cross_modal.begin_with(learnt, models.vae)
        objective = CrossModalObjective(models.cross_modal, models.vae, learnt, check)
        self.run(objective, config.fit, "sound to motion")


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
