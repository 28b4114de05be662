"""Stages: what a round left behind, and the names that say what it is made of."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from pruning.errors import NonFiniteError, StoreError
from pruning.recipe import Recipe
from pruning.rounds import Round, Schedule, width_mult

FORMAT = 1
"""Version of `stage.json` and of what a stage's id is made of."""

_ID_DIGITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Everything but parent and round that shapes a stage's weights.

    Attributes:
        recipe: The training settings.
        seed: The search's seed.
        data_fingerprint: Of the images' content.
        root: What the root is made of: its channels and classes, and the digest of the
            checkpoint it came from, if any.
        device_type: "cpu" or "cuda"; arithmetic differs between them.
        precision: "fp32".
    """

    recipe: Recipe
    seed: int
    data_fingerprint: str
    root: Mapping[str, Any]
    device_type: str
    precision: str = "fp32"

    def stage_id(self, parent: str | None, round_: Round | None) -> str:
        """Name of the stage that `round_` makes of `parent`; of the root, if both are None."""
        made_of = {
            "format": FORMAT,
            "parent": parent,
            "round": None if round_ is None else round_.to_json(),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "data": self.data_fingerprint,
            "root": dict(self.root),
            "device_type": self.device_type,
            "precision": self.precision,
        }
        canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_DIGITS]


def stage_seed(stage_id: str) -> int:
    """Seed of all randomness of a stage: 63 bits of its id."""
    return int(stage_id, 16) >> 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A stage as its worker made it, before the store accepted it.

    Attributes:
        id: Its name.
        parent: The id of the stage it was pruned from; None for the root.
        schedule: All rounds from the root to it.
        channels: Channel counts of the network's blocks.
        params: Trainable parameters.
        macs: Multiply-adds for one image.
        size_bytes: Bytes of the fp32 state dict's tensors, buffers included.
        val_loss: Mean cross-entropy on the validation split.
        val_accuracy: Share of the validation split that is classified correctly.
        seconds: What the round took on its worker, training and evaluation.
    """

    id: str
    parent: str | None
    schedule: Schedule
    channels: tuple[int, ...]
    params: int
    macs: int
    size_bytes: int
    val_loss: float
    val_accuracy: float
    seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.val_loss) and math.isfinite(self.val_accuracy)):
            raise NonFiniteError(
                f"stage {self.id}: loss {self.val_loss}, accuracy {self.val_accuracy}"
            )

    @property
    def width_mult(self) -> float:
        """Width relative to the root."""
        return width_mult(self.schedule)

    @property
    def epochs(self) -> int:
        """Fine-tuning epochs of the stage's own round; 0 for the root."""
        return self.schedule[-1].epochs if self.schedule else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Draft):
    """A stage in the store.

    Attributes:
        executed_epochs: Fine-tuning epochs of all rounds accepted up to and including it.
        sha256: Digest of `model.safetensors`.
        test_accuracy: On the test split, once it was asked for.
    """

    executed_epochs: int
    sha256: str
    test_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of `stage.json`."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            "format": FORMAT,
            **record,
            "schedule": [round_.to_json() for round_ in self.schedule],
            "channels": list(self.channels),
        }

    @classmethod
    def from_json(cls, record: object) -> Self:
        """The stage that `to_json` wrote.

        Raises:
            StoreError: The record is of another format or lacks a value.
        """
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise StoreError(f"stage.json is not of format {FORMAT}")
        values: dict[str, Any] = {key: value for key, value in record.items() if key != "format"}
        try:
            values["schedule"] = tuple(Round(**round_) for round_ in values["schedule"])
            values["channels"] = tuple(values["channels"])
            return cls(**values)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise StoreError(f"stage.json is damaged: {error}") from error

    @classmethod
    def accept(cls, draft: Draft, *, executed_epochs: int, sha256: str) -> Self:
        """The stage that a draft becomes when the store takes it."""
        made = {field.name: getattr(draft, field.name) for field in fields(draft)}
        return cls(**made, executed_epochs=executed_epochs, sha256=sha256)
