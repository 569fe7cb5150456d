"""The disentangling autoencoder F_d, which embeds mouth and eyes separately (section 3.2, Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.face.landmarks_68 import NUM_LANDMARKS_68, UPPER_FACE_68, compose_face, lid_gaps

NUM_LID_BINS = 12
"""Number of bins of the lid distance over which training eyes are drawn uniformly."""


@dataclass
class DisentanglingConfig:
    """Options of F_d."""

    mouth_dim: int = 32
    """Size of f_m."""
    eye_dim: int = 8
    """Size of f_e."""
    hidden: int = 192
    """Width of the fully connected layers."""
    batch_size: int = 192
    """Pairs of faces per step."""
    embedding_penalty: float = 1e-3
    """Weight of the mean square of the embeddings, which fixes their otherwise free scale."""
    invariance_weight: float = 0.4
    """Weight of the share of f_m's variance that other eyes cause, and of f_e's that another mouth causes. Eq. 2 alone
    allows each embedding to carry information that the decoder then ignores."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=500, learning_rate=2e-3, weight_decay=1e-4))
    """Training options."""


class DisentanglingAutoencoder(nn.Module):
    """F_d: encoder E_L from 68 front-view landmarks to (f_m, f_e), and decoder D_L back.

    Landmarks are in head space units (the distance of the outer eye corners). They are centred on the mean face and
    divided by each landmark's own spread, so that lids, which move little, have the same weight as lips. Most of an
    expression is linear, so encoder and decoder have a linear skip layer, and their other layers model the rest.
    """

    mean_face: Tensor
    """Face without expression [68, 3]."""
    spread: Tensor
    """Root mean square displacement of each landmark by expressions [68, 1]."""

    def __init__(self, config: DisentanglingConfig) -> None:
        super().__init__()
        self.config = config
        size, hidden = 3 * NUM_LANDMARKS_68, config.hidden
        self.register_buffer("mean_face", torch.zeros(NUM_LANDMARKS_68, 3))
        self.register_buffer("spread", torch.ones(NUM_LANDMARKS_68, 1))
        self.encoder = nn.Sequential(
            nn.Linear(size, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, config.mouth_dim + config.eye_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.mouth_dim + config.eye_dim, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, size),
        )
        self.encoder_skip = nn.Linear(size, config.mouth_dim + config.eye_dim, bias=False)
        self.decoder_skip = nn.Linear(config.mouth_dim + config.eye_dim, size, bias=False)
        self._initialize_disentangled()

    @torch.no_grad()
    def _initialize_disentangled(self) -> None:
        """Reduces both networks to linear layers in which f_m is independent of the eyes and f_e of the mouth."""
        for layers in (self.encoder, self.decoder):
            last = layers[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        upper = torch.zeros(NUM_LANDMARKS_68, 3, dtype=torch.bool)
        upper[UPPER_FACE_68] = True
        eye = torch.arange(self.config.mouth_dim + self.config.eye_dim) >= self.config.mouth_dim
        across = eye[:, None] != upper.flatten()  # [M + E, 204]
        self.encoder_skip.weight[across] = 0
        self.decoder_skip.weight[across.T] = 0

    def set_statistics(self, neutral: Float[Tensor, "68 3"], expression: Float[Tensor, "T 68 3"]) -> None:
        """Sets mean face and spread.

        Args:
            neutral: the face without expression.
            expression: displacements of training faces from their neutral faces.
        """
        self.mean_face = neutral.clone()
        spread = expression.square().sum(-1).mean(0).sqrt()  # [68]
        self.spread = spread.clamp(min=0.25 * float(spread.median()) + 1e-6)[:, None]

    def encode(self, landmarks: Float[Tensor, "B 68 3"]) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B E"]]:
        """E_L: computes f_m and f_e of faces in head space."""
        offsets = ((landmarks - self.mean_face) / self.spread).flatten(1)
        features = self.encoder_skip(offsets) + self.encoder(offsets)
        mouth, eye = features.split([self.config.mouth_dim, self.config.eye_dim], dim=-1)
        return mouth, eye

    def decode(self, mouth: Float[Tensor, "B M"], eye: Float[Tensor, "B E"]) -> Float[Tensor, "B 68 3"]:
        """D_L: computes faces in head space."""
        features = torch.cat([mouth, eye], -1)
        offsets = self.decoder_skip(features) + self.decoder(features)
        return self.mean_face + self.spread * offsets.unflatten(-1, (NUM_LANDMARKS_68, 3))


class DisentanglingObjective(Objective):
    """L1 reconstruction of faces A and B, and Eq. 2 with the mouth or the eye embedding swapped at random.

    A and B are composed themselves, each of the eyes of one frame and the mouth of another one drawn independently, so
    that in training the mouth contains no information about the eyes and E_L cannot use it. A person blinks in one
    frame of twenty, so eyes are drawn uniformly over lid distance. Half of them are interpolated between two frames.
    """

    landmarks: Tensor
    eye_weight: Tensor
    weight: Tensor
    val_landmarks: Tensor

    def __init__(
        self,
        model: DisentanglingAutoencoder,
        landmarks: Float[Tensor, "T 68 3"],
        weight: Float[Tensor, " T"] | None = None,
        val_landmarks: Float[Tensor, "V 68 3"] | None = None,
    ) -> None:
        """
        Args:
            model: F_d with mean face and spread set.
            landmarks: training faces in head space, all with the identity of the model's mean face.
            weight: relative sampling probability of each face; uniform if None.
            val_landmarks: validation faces, which select the best weights.
        """
        super().__init__()
        self.model = model
        weight = torch.ones(len(landmarks)) if weight is None else weight
        lids = lid_gaps(landmarks).mean(-1)  # [T]
        low, high = lids.min(), lids.max()
        bins = ((lids - low) / (high - low).clamp(min=1e-9) * NUM_LID_BINS).long().clamp(max=NUM_LID_BINS - 1)
        eye_weight = weight / torch.zeros(NUM_LID_BINS).index_add(0, bins, weight).clamp(min=1e-9)[bins]
        val_landmarks = landmarks[:0] if val_landmarks is None else val_landmarks
        self.register_data(landmarks=landmarks, eye_weight=eye_weight, weight=weight, val_landmarks=val_landmarks)

    def _compose_faces(self, count: int) -> Float[Tensor, "B 68 3"]:
        """Draws faces of independent eyes and mouths."""
        eyes = torch.multinomial(self.eye_weight, 2 * count, replacement=True).view(2, count)
        mouths = torch.multinomial(self.weight, count, replacement=True)
        blend = (torch.rand(count, device=self.landmarks.device) * 2 - 1).clamp(min=0)[:, None, None]
        return compose_face(torch.lerp(self.landmarks[eyes[0]], self.landmarks[eyes[1]], blend), self.landmarks[mouths])

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Computes the L1 reconstruction error of the validation faces; None where there are none."""
        faces = self.val_landmarks
        if not len(faces):
            return None
        return ((self.model.decode(*self.model.encode(faces)) - faces) / self.model.spread).abs().mean()

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes L1, in units of each landmark's spread, of reconstructed and of swapped faces (Eq. 2)."""
        model, count = self.model, self.model.config.batch_size
        face_a, face_b = self._compose_faces(count), self._compose_faces(count)
        mouth_a, eye_a = model.encode(face_a)
        mouth_b, eye_b = model.encode(face_b)
        # Swapping mouths gives (m_B, e_A), swapping eyes gives (m_A, e_B); one of the two for each pair.
        swap_mouth = torch.rand(count, 1, device=face_a.device) < 0.5
        mouth, eye = torch.where(swap_mouth, mouth_b, mouth_a), torch.where(swap_mouth, eye_a, eye_b)
        swapped = model.decode(mouth, eye)
        target = torch.where(swap_mouth[..., None], compose_face(face_a, face_b), compose_face(face_b, face_a))
        target_mouth, target_eye = model.encode(target)

        def l1(decoded: Tensor, true: Tensor) -> Tensor:
            return ((decoded - true) / model.spread).abs().mean()

        # Relative to the variance, so that small embeddings do not reduce it. It is weighted from 0 at the start to its
        # full weight at the end, because otherwise uninformative embeddings would minimise it.
        def variation(again: Tensor, first: Tensor) -> Tensor:
            return (again - first).square().mean() / first.var(0).mean().clamp(min=1e-6)

        reconstruction = l1(model.decode(mouth_a, eye_a), face_a) + l1(model.decode(mouth_b, eye_b), face_b)
        size = mouth_a.square().mean() + eye_a.square().mean()
        return {
            "reconstruction": reconstruction / 2,
            "swapped": l1(swapped, target),
            "invariance": progress
            * model.config.invariance_weight
            * (variation(target_mouth, mouth) + variation(target_eye, eye)),
            "size": model.config.embedding_penalty * size,
        }
