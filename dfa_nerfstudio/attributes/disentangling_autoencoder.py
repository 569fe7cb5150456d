"""Mouth and eyes apart: the fully connected autoencoder F_d (section 3.2, Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.face.landmarks_68 import NUM_LANDMARKS, UPPER_FACE, compose, lid_gaps


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
    """Pairs of faces a step."""
    embedding_penalty: float = 1e-3
    """Weight of the mean square of the embeddings, which fixes their otherwise free scale."""
    invariance_weight: float = 0.4
    """Weight of the share of f_m's variance that comes from other eyes, and of f_e's that comes from another mouth.
    Eq. 2 alone lets each embedding carry what the decoder then ignores."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=500, learning_rate=2e-3, weight_decay=1e-4))
    """Steps and rates."""


class DisentanglingAutoencoder(nn.Module):
    """F_d: encoder E_L from 68 front-view landmarks to (f_m, f_e), decoder D_L back.

    Landmarks are in head space units (the distance of the outer eye corners). Inside they are centred on the mean face
    and divided by each landmark's own spread, so that lids, which move little, weigh as much as lips. Most of what
    expressions do is linear: a linear layer beside the others on either side takes that, and the others what is left.
    """

    mean_face: Tensor
    spread: Tensor

    def __init__(self, config: DisentanglingConfig) -> None:
        super().__init__()
        self.config = config
        size, hidden = 3 * NUM_LANDMARKS, config.hidden
        self.register_buffer("mean_face", torch.zeros(NUM_LANDMARKS, 3))
        self.register_buffer("spread", torch.ones(NUM_LANDMARKS, 1))
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
        self._start_apart()

    @torch.no_grad()
    def _start_apart(self) -> None:
        """Training begins with linear layers in which f_m knows nothing of the eyes, nor f_e of the mouth."""
        for layers in (self.encoder, self.decoder):
            last = layers[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        upper = torch.zeros(NUM_LANDMARKS, 3, dtype=torch.bool)
        upper[UPPER_FACE] = True
        eye = torch.arange(self.config.mouth_dim + self.config.eye_dim) >= self.config.mouth_dim
        across = eye[:, None] != upper.flatten()  # [M + E, 204]
        self.encoder_skip.weight[across] = 0
        self.decoder_skip.weight[across.T] = 0

    def measure(self, neutral: Float[Tensor, "68 3"], expression: Float[Tensor, "T 68 3"]) -> None:
        """Takes mean face and spread.

        Args:
            neutral: the face without expression.
            expression: what training faces add to theirs.
        """
        self.mean_face = neutral.clone()
        spread = expression.square().sum(-1).mean(0).sqrt()  # [68]
        self.spread = spread.clamp(min=0.25 * float(spread.median()) + 1e-6)[:, None]

    def encode(self, landmarks: Float[Tensor, "B 68 3"]) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B E"]]:
        """E_L: f_m and f_e of faces in head space."""
        offsets = ((landmarks - self.mean_face) / self.spread).flatten(1)
        features = self.encoder_skip(offsets) + self.encoder(offsets)
        mouth, eye = features.split([self.config.mouth_dim, self.config.eye_dim], dim=-1)
        return mouth, eye

    def decode(self, mouth: Float[Tensor, "B M"], eye: Float[Tensor, "B E"]) -> Float[Tensor, "B 68 3"]:
        """D_L: the face in head space."""
        features = torch.cat([mouth, eye], -1)
        offsets = self.decoder_skip(features) + self.decoder(features)
        return self.mean_face + self.spread * offsets.unflatten(-1, (NUM_LANDMARKS, 3))


class DisentanglingObjective(Objective):
    """L1 reconstruction of faces A and B, and Eq. 2 with the mouth or the eye embedding switched at random.

    A and B are composed themselves, each from the eyes of one frame and the mouth of another drawn independently, so
    that in training the mouth says nothing about the eyes and E_L has no reason to look there for them. A person
    blinks in one frame of twenty: eyes are drawn evenly over lid distance, and half of them lie between two frames.
    """

    landmarks: Tensor
    rarity: Tensor
    weight: Tensor
    check: Tensor

    def __init__(
        self,
        model: DisentanglingAutoencoder,
        landmarks: Float[Tensor, "T 68 3"],
        weight: Float[Tensor, " T"] | None = None,
        check: Float[Tensor, "V 68 3"] | None = None,
    ) -> None:
        """
        Args:
            model: F_d, which knows mean face and spread.
            landmarks: training faces, in head space, all with the identity of the model's mean face.
            weight: how often a face is drawn, if not equally often.
            check: faces that train nothing and choose the best weights.
        """
        super().__init__()
        self.model = model
        weight = torch.ones(len(landmarks)) if weight is None else weight
        lids = lid_gaps(landmarks).mean(-1)  # [T]
        low, high = lids.min(), lids.max()
        bins = ((lids - low) / (high - low).clamp(min=1e-9) * 12).long().clamp(max=11)
        rarity = weight / torch.zeros(12).index_add(0, bins, weight).clamp(min=1e-9)[bins]
        check = landmarks[:0] if check is None else check
        self.hold(landmarks=landmarks, rarity=rarity, weight=weight, check=check)

    def _faces(self, count: int) -> Float[Tensor, "B 68 3"]:
        eyes = torch.multinomial(self.rarity, 2 * count, replacement=True).view(2, count)
        mouths = torch.multinomial(self.weight, count, replacement=True)
        blend = (torch.rand(count, device=self.landmarks.device) * 2 - 1).clamp(min=0)[:, None, None]
        return compose(torch.lerp(self.landmarks[eyes[0]], self.landmarks[eyes[1]], blend), self.landmarks[mouths])

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """L1 of the validation faces' own reconstruction; None where there are none."""
        if not len(self.check):
            return None
        return ((self.model.decode(*self.model.encode(self.check)) - self.check) / self.model.spread).abs().mean()

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """L1 in units of each landmark's spread: own reconstruction and switched (Eq. 2)."""
        model, count = self.model, self.model.config.batch_size
        face_a, face_b = self._faces(count), self._faces(count)
        mouth_a, eye_a = model.encode(face_a)
        mouth_b, eye_b = model.encode(face_b)
        # Switching mouths makes (m_B, e_A) of A, switching eyes makes (m_A, e_B): one of the two for each pair.
        switch = torch.rand(count, 1, device=face_a.device) < 0.5
        mouth, eye = torch.where(switch, mouth_b, mouth_a), torch.where(switch, eye_a, eye_b)
        switched = model.decode(mouth, eye)
        target = torch.where(switch[..., None], compose(face_a, face_b), compose(face_b, face_a))
        mouth_again, eye_again = model.encode(target)

        def l1(made: Tensor, true: Tensor) -> Tensor:
            return ((made - true) / model.spread).abs().mean()

        # Scale-free, and rising from zero: it must not be won by embeddings that say nothing.
        def changed(again: Tensor, first: Tensor) -> Tensor:
            return (again - first).square().mean() / first.var(0).mean().clamp(min=1e-6)

        own = l1(model.decode(mouth_a, eye_a), face_a) + l1(model.decode(mouth_b, eye_b), face_b)
        size = mouth_a.square().mean() + eye_a.square().mean()
        return {
            "reconstruction": own / 2,
            "switched": l1(switched, target),
            "invariance": progress
            * model.config.invariance_weight
            * (changed(mouth_again, mouth) + changed(eye_again, eye)),
            "size": model.config.embedding_penalty * size,
        }
