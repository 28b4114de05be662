"""The search space: which schedules may be proposed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pruning import Allocation, Round, Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """All schedules of 1 to `max_rounds` rounds over a grid of choices.

    Attributes:
        rates: Choices of each round's rate.
        epochs: Choices of each round's epochs.
        lrs: Choices of each round's learning rate.
        max_rounds: Rounds a schedule may have.
        allocations: Choices of each round's allocation.
    """

    rates: tuple[float, ...]
    epochs: tuple[int, ...]
    lrs: tuple[float, ...]
    max_rounds: int
    allocations: tuple[Allocation, ...] = ("uniform",)

    def rounds(self) -> tuple[Round, ...]:
        """Every distinct round; what plays no part in one is the first of its choices."""
        values = product(self.rates, self.epochs, self.lrs, self.allocations)
        return tuple(dict.fromkeys(self._round(*chosen) for chosen in values))

    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Choices of each parameter of a round, by the name of the round's attribute.

        Where all rounds are uniform there is no parameter for it, as there was none in the
        searches of earlier versions.
        """
        numbers = {"rate": self.rates, "epochs": self.epochs, "lr": self.lrs}
        if self.allocations == ("uniform",):
            return numbers
        return numbers | {"allocation": self.allocations}

    def sizes(self) -> dict[str, range]:
        """Name and valid indices of every parameter that describes a schedule.

        The number of parameters is fixed, so that samplers, which model what all rows have in
        common, see each position of a schedule in every row.
        """
        return {"rounds": range(1, self.max_rounds + 1)} | {
            f"{name}_{position}": range(len(choices))
            for position in range(1, self.max_rounds + 1)
            for name, choices in self.choices().items()
        }

    def encode(self, schedule: Schedule) -> dict[str, int]:
        """Parameters of a schedule; those of positions beyond its end are left out.

        Raises:
            ValueError: A round is not on the grid.
        """
        indices = {"rounds": len(schedule)}
        for position, round_ in enumerate(schedule, start=1):
            for name, choices in self.choices().items():
                indices[f"{name}_{position}"] = choices.index(getattr(round_, name))
        return indices

    def decode(self, indices: Mapping[str, int]) -> Schedule:
        """The schedule of some parameters; those of positions beyond its end are not read."""
        return tuple(
            self._round(
                self.rates[indices[f"rate_{position}"]],
                self.epochs[indices[f"epochs_{position}"]],
                self.lrs[indices[f"lr_{position}"]],
                self.allocations[indices.get(f"allocation_{position}", 0)],
            )
            for position in range(1, indices["rounds"] + 1)
        )

    def _round(self, rate: float, epochs: int, lr: float, allocation: Allocation) -> Round:
        return Round(
            rate=rate,
            epochs=epochs,
            lr=lr if epochs else self.lrs[0],
            allocation=allocation if rate < 1 else self.allocations[0],
        )
