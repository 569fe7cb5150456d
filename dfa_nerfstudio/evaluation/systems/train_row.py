"""Training of one row with a random seed, for motion and lip models alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from dfa_nerfstudio.attributes.attribute_trainer import AttributeTrainer
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.evaluation.systems.person_data import PersonData

Model = TypeVar("Model")


def train_row(
    rows: Mapping[str, Callable[[PersonData, int], Model]], name: str, person: PersonData, seed: int
) -> Model:
    """Trains the model of a row; the global random state is left unchanged.

    Args:
        rows: functions that train each row on a person's training frames with a random seed.
        name: name of the row.
        person: the person's data.
        seed: random seed.
    """
    person.read()  # before the seed is set, because readers draw random numbers when they build their models
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return rows[name](person, seed)


def fit_model(objective: Objective, options: FitConfig, seed: int) -> None:
    """Minimises an objective in place and sets its model to evaluation mode."""
    AttributeTrainer(seed=seed, progress=False).run(objective, options, "model of a row")
