"""Runs the training stages: autoencoder, audio encoder, audio offsets, motion VAE, cross-modal encoder."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dfa_nerfstudio.attributes.av_offset import cross_fit_offsets
from dfa_nerfstudio.attributes.contrastive_loss import ContrastiveObjective
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalObjective
from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective
from dfa_nerfstudio.attributes.gp_vae_objective import GPVAEObjective
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Hardware, Objective
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import AudioVisualSequence, Recording, sampling_weights
from dfa_nerfstudio.attributes.speech_models import SpeechModels


@dataclass
class AttributeTrainer:
    """Trains one model at a time; used for one person, for a corpus, and for the halves that measure offsets."""

    step_multiplier: float = 1.0
    """Factor on every model's training steps."""
    seed: int = 0
    """Random seed."""
    progress: bool = True
    """Whether to show progress bars."""
    hardware: Hardware = field(default_factory=Hardware)
    """Training device."""
    resume: Path | None = None
    """Folder for the training state, from which an interrupted run is resumed."""

    def run(self, objective: Objective, options: FitConfig, name: str, share: float = 1.0) -> None:
        """Minimises an objective for `share` of its steps."""
        from dfa_nerfstudio.attributes.lightning_module import fit

        fit(
            objective,
            options.scaled(self.step_multiplier * share),
            name=name,
            seed=self.seed,
            progress=self.progress,
            hardware=self.hardware,
            resume=self.resume,
        )

    def train_autoencoder(
        self,
        models: SpeechModels,
        recordings: list[Recording],
        val: list[Recording] | None = None,
    ) -> None:
        """Trains F_d, whose mean face must be set, then sets the scale of f_m."""
        faces, weight = _valid_faces(models, recordings)
        val_faces = _valid_faces(models, val)[0] if val else None
        objective = DisentanglingObjective(models.autoencoder, faces, weight, val_faces)
        self.run(objective, models.config.disentangling.fit, "autoencoder")
        models.fit_lip_scale(recordings)

    def train_audio_encoder(
        self,
        models: SpeechModels,
        recordings: list[Recording],
        offsets: dict[str, int],
        val: list[Recording] | None = None,
        name: str = "audio encoder",
        share: float = 1.0,
    ) -> None:
        """Trains E_a and the mouth encoder with F_d frozen."""
        train_data, val_data = (
            AudioVisualSequence.from_recordings(
                part, [models.lip_embedding(models.faces(recording)) for recording in part], offsets
            )
            if part
            else None
            for part in (recordings, val)
        )
        assert train_data is not None
        objective = ContrastiveObjective(models.audio, models.mouth, train_data, val_data)
        self.run(objective, models.config.audio.fit, name, share)

    def measure_offsets(
        self, models: SpeechModels, recordings: list[Recording], unseen: list[Recording] | None = None
    ) -> dict[str, int]:
        """Measures the audio delay of each recording in MFCC rows, with F_d frozen; see `cross_fit_offsets`."""
        rounds = 0

        def train_half(half: list[Recording], known: dict[str, int], start: SpeechModels | None) -> SpeechModels:
            nonlocal rounds
            rounds += 1
            torch.manual_seed(self.seed)
            trained = start or _with_untrained_encoders(models)
            self.train_audio_encoder(trained, half, known, name=f"offsets {rounds} of 4", share=0.5)
            return trained

        return cross_fit_offsets(recordings, train_half, unseen)

    def train_motion_vae(
        self, models: PretrainedModels, train: MotionSequences, val: MotionSequences | None = None
    ) -> None:
        """Trains the latent space of motion, E_h and D (Fig. 4a)."""
        models.vae.initialize(train.motion, train.shot)
        self.run(GPVAEObjective(models.vae, train, val), models.config.latent.fit, "motion VAE")

    def train_cross_modal_encoder(
        self, models: PretrainedModels, train: MotionSequences, val: MotionSequences | None = None
    ) -> None:
        """Trains E_ah with the latent space frozen (Fig. 4b)."""
        config = models.config.cross_modal
        models.cross_modal.initialize(train, models.vae)
        objective = CrossModalObjective(models.cross_modal, models.vae, train, val)
        self.run(objective, config.fit, "cross-modal encoder")


def _with_untrained_encoders(models: SpeechModels) -> SpeechModels:
    """A copy of the models with the same F_d and new weights of E_a and the mouth encoder."""
    fresh = SpeechModels(models.config, models.sizes["num_coefficients"])
    fresh.autoencoder = copy.deepcopy(models.autoencoder)
    fresh.lips_mean, fresh.lips_std = models.lips_mean.clone(), models.lips_std.clone()
    return fresh


def _valid_faces(models: SpeechModels, recordings: list[Recording]) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces of the valid frames [T, 68, 3] and the sampling weight of each [T]."""
    weight = sampling_weights(recordings)
    faces = [models.faces(recording)[recording.valid_frames] for recording in recordings]
    weights = [torch.full((len(part),), weight[r.name]) for part, r in zip(faces, recordings, strict=True)]
    return torch.cat(faces), torch.cat(weights)
