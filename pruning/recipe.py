"""How networks are trained: everything but the data that shapes a stage's weights."""

from dataclasses import asdict, dataclass
from typing import Any

from pruning.importance import Importance

RECIPE_VERSION = 1
"""Raised whenever the same recipe would give other weights than before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training settings that all stages of a search share.

    Attributes:
        batch_size: Images a step, at least 2, since batch norm needs two values a channel.
        weight_decay: Decoupled weight decay of AdamW.
        importance: The criterion by which channels are ranked.
        root_epochs: Epochs for which the root is trained.
        root_lr: Learning rate at which the root's training starts; it falls linearly to 0.

    Source: notebook, AdamW at 1e-3 with batches of 32.
    """

    batch_size: int = 32
    weight_decay: float = 0.01
    importance: Importance = "gamma"
    root_epochs: int = 60
    root_lr: float = 4e-3

    def to_json(self) -> dict[str, Any]:
        """The recipe and its version, as it enters a stage's id."""
        return {"version": RECIPE_VERSION, **asdict(self)}
