"""The search space: which schedules may be proposed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pruning import Allocation, Round, Schedule, Start


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """All schedules of 1 to `max_rounds` rounds over a grid of choices.

    Attributes:
        rates: Choices of each round's rate.
        epochs: Choices of each round's epochs.
        lrs: Choices of each round's learning rate.
        max_rounds: Rounds a schedule may have.
        allocations: Choices of each round's allocation.
        starts: Choices of each round's start.
    """

    rates: tuple[float, ...]
    epochs: tuple[int, ...]
    lrs: tuple[float, ...]
    max_rounds: int
    allocations: tuple[Allocation, ...] = ("uniform",)
    starts: tuple[Start, ...] = ("inherit",)

    def rounds(self) -> tuple[Round, ...]:
        """Every distinct round; what plays no part in one is the first of its choices."""
        values = product(*self._choices().values())
        return tuple(dict.fromkeys(self._round(*chosen) for chosen in values))

    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Choices of each parameter of a round, by the name of the round's attribute.

        Where all rounds are uniform, or all inherit, there is no parameter for it, as there was
        none in the searches of earlier versions.
        """
        usual = {"allocation": ("uniform",), "start": ("inherit",)}
        every = self._choices().items()
        return {name: choices for name, choices in every if choices != usual.get(name)}

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
                *(
                    choices[indices.get(f"{name}_{position}", 0)]
                    for name, choices in self._choices().items()
                )
            )
            for position in range(1, indices["rounds"] + 1)
        )

    def _choices(self) -> dict[str, tuple[Any, ...]]:
        return {
            "rate": self.rates,
            "epochs": self.epochs,
            "lr": self.lrs,
            "allocation": self.allocations,
            "start": self.starts,
        }

    def _round(
        self, rate: float, epochs: int, lr: float, allocation: Allocation, start: Start
    ) -> Round:
        return Round(
            rate=rate,
            epochs=epochs,
            lr=lr if epochs else self.lrs[0],
            allocation=allocation if rate < 1 else self.allocations[0],
            start=start if epochs else "inherit",
        )
