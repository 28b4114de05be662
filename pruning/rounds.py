"""Rounds and schedules: what is asked of a network before anything is trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pruning.errors import InvalidRoundError

Allocation: TypeAlias = Literal["uniform", "global"]
"""How the channels that a round keeps are divided among the prunable blocks.
`uniform`: every block keeps the same share, as in the notebook.
`global`: the most important channels of all these blocks together are kept, as in the Network
Slimming paper (arXiv:1708.06519, section 3), but some of each block; see `pruning.allocation`."""


Start: TypeAlias = Literal["inherit", "fresh"]
"""What a round trains. `inherit`: the kept channels with their weights, as in the notebook.
`fresh`: a network of the same shape with new weights, as whoever trains it from scratch."""

_USUAL = {"allocation": "uniform", "start": "inherit"}  # before there was a choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Prune to a share of the present width, then fine-tune.

    Attributes:
        rate: Share of the width that is kept, in (0, 1]; 0.95 keeps 95 %, as in the notebook.
        epochs: Fine-tuning epochs, at least 0.
        lr: Learning rate of the fine-tuning, above 0.
        replicate: 0, or another number for another random draw of the same round.
        allocation: How the channels that are kept are divided among the blocks.
        start: Whether the kept channels' weights are inherited.

    Raises:
        InvalidRoundError: A value is outside its range, or the round would change nothing.

    Source: notebook, training loop.
    """

    rate: float
    epochs: int
    lr: float
    replicate: int = 0
    allocation: Allocation = "uniform"
    start: Start = "inherit"

    def __post_init__(self) -> None:
        for name, rule, holds in (
            ("rate", "in (0, 1]", 0 < self.rate <= 1),
            ("epochs", "a whole number of at least 0", _is_count(self.epochs)),
            ("lr", "a finite number above 0", 0 < self.lr < math.inf),
            ("replicate", "a whole number of at least 0", _is_count(self.replicate)),
            ("allocation", "uniform or global", self.allocation in get_args(Allocation)),
            ("start", "inherit or fresh", self.start in get_args(Start)),
        ):
            if not holds:
                raise InvalidRoundError(f"{name} must be {rule}, got {getattr(self, name)!r}")
        if self.rate == 1 and self.epochs == 0:
            raise InvalidRoundError("a round of rate 1 and 0 epochs changes nothing")
        if self.start == "fresh" and self.epochs == 0:
            raise InvalidRoundError("a round that starts fresh must have epochs")
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "lr", float(self.lr))

    def to_json(self) -> dict[str, Any]:
        """The round as JSON values; `Round(**record)` reads it back.

        Stages' ids are made of this, and there were rounds before there was a choice of
        allocation and start: the usual ones are left out.
        """
        record: dict[str, Any] = {
            "rate": self.rate,
            "epochs": self.epochs,
            "lr": self.lr,
            "replicate": self.replicate,
        }
        chosen = {name: getattr(self, name) for name in _USUAL}
        return record | {name: value for name, value in chosen.items() if value != _USUAL[name]}


Schedule: TypeAlias = tuple[Round, ...]
"""Rounds in the order in which they run. Every prefix of a schedule is a schedule."""


def width_mult(schedule: Sequence[Round]) -> float:
    """Width that a schedule leaves, relative to the root: the running product of its rates.

    The product is taken from the first round to the last, as the notebook's loop takes it, so
    that truncating it to channels gives the notebook's counts.
    """
    width = 1.0
    for round_ in schedule:
        width *= round_.rate
    return width


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
