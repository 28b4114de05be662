"""Stages: what a round left behind, and the names that say what it is made of."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_type_hints

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from pruning.errors import NonFiniteError, StageFormatError, StoreError
from pruning.recipe import Recipe
from pruning.rounds import Round, Schedule, width_mult
from pruning.training import Precision

FORMAT = 1
"""Version of `stage.json` and of what a stage's id is made of."""

_BEFORE = {"latency_ms": None, "latency_on": None}  # networks were timed
_EVERY_ITEM = CollectionCheckStrategy.ALL_ITEMS
_ID_DIGITS = 16
_ID = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}")


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
        precision: Of the arithmetic of training and evaluation.
    """

    recipe: Recipe
    seed: int
    data_fingerprint: str
    root: Mapping[str, Any]
    device_type: str
    precision: Precision = "fp32"

    def stage_id(self, parent: str | None, round_: Round | None) -> str:
        """Name of the stage that `round_` makes of `parent`; of the root, if both are None."""
        epochs = self.recipe.root_epochs if round_ is None else round_.epochs
        made_of = {
            "format": FORMAT,
            "parent": parent,
            "round": None if round_ is None else round_.to_json(),
            "recipe": self.recipe.of_training(epochs),
            "seed": self.seed,
            "data": self.data_fingerprint,
            "root": dict(self.root),
            "device_type": self.device_type,
            "precision": self.precision,
        }
        canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_DIGITS]


def is_stage_id(name: object) -> bool:
    """Whether this can be a stage's id, and so is safe as the name of its folder."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


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
        latency_ms: Milliseconds of a forward pass of one image; see `Stopwatch`. None if it was
            not timed.
        latency_on: The device on which that was.
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
    latency_ms: float | None = None
    latency_on: str | None = None

    def __post_init__(self) -> None:
        if not is_stage_id(self.id) or not (self.parent is None or is_stage_id(self.parent)):
            raise StoreError(f"{self.id!r} of {self.parent!r} cannot be stages' ids")
        if self.latency_ms is not None and not 0 < self.latency_ms < math.inf:
            raise StoreError(f"stage {self.id} cannot take {self.latency_ms} ms")
        if not all(map(math.isfinite, (self.val_loss, self.val_accuracy, self.seconds))):
            raise NonFiniteError(
                f"stage {self.id}: loss {self.val_loss}, accuracy {self.val_accuracy}"
            )
        counts = (*self.channels, self.params, self.macs, self.size_bytes)
        if min(counts) < 1 or not 0 <= self.val_accuracy <= 1:
            raise StoreError(f"stage {self.id} has a value outside its range")

    @property
    def width_mult(self) -> float:
        """Width relative to the root."""
        return width_mult(self.schedule)

    @property
    def edge(self) -> tuple[str | None, Round | None]:
        """Its place in the tree: its parent's id, and its own round."""
        return self.parent, self.schedule[-1] if self.schedule else None

    @property
    def epochs(self) -> int:
        """Fine-tuning epochs of the stage's own round; 0 for the root."""
        return self.schedule[-1].epochs if self.schedule else 0

    @property
    def is_repeat(self) -> bool:
        """Whether it is another random draw of a stage, to tell luck; it is no parent."""
        return bool(self.schedule) and self.schedule[-1].replicate > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Draft):
    """A stage in the store.

    Attributes:
        trial: Number of the first trial that asked for it, and so had it trained; no trial asks
            for a repeat, which has a number beyond theirs.
        executed_epochs: Fine-tuning epochs of all rounds accepted up to and including it; those
            of repeats are not among them.
        sha256: Digest of `model.safetensors`.
        test_accuracy: On the test split, once it was asked for.
    """

    trial: int
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
            StageFormatError: The record is of another format.
            StoreError: It lacks a value, or has one that is impossible.
        """
        if not isinstance(record, dict) or "format" not in record:
            raise StoreError("stage.json describes no stage")
        if record["format"] != FORMAT:
            raise StageFormatError(
                f"stage.json has format {record['format']!r}; this version reads {FORMAT}"
            )
        values: dict[str, Any] = {**_BEFORE, **record}
        del values["format"]
        try:
            values["schedule"] = tuple(Round(**round_) for round_ in values["schedule"])
            values["channels"] = tuple(values["channels"])
            for name, hint in get_type_hints(cls).items():
                check_type(values[name], hint, collection_check_strategy=_EVERY_ITEM)
            return cls(**values)
        except (KeyError, TypeError, ValueError, NonFiniteError, TypeCheckError) as error:
            raise StoreError(f"stage.json is damaged: {error}") from error

    @classmethod
    def accept(cls, draft: Draft, *, trial: int, executed_epochs: int, sha256: str) -> Self:
        """The stage that a draft becomes when the store takes it."""
        made = {field.name: getattr(draft, field.name) for field in fields(draft)}
        return cls(**made, trial=trial, executed_epochs=executed_epochs, sha256=sha256)
