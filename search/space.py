"""The search space: which schedules may be proposed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Self

from pruning import Round, Schedule
from search.configuration import SearchConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """All schedules of 1 to `max_rounds` rounds over a grid of choices.

    Attributes:
        rates: Choices of each round's rate.
        epochs: Choices of each round's epochs.
        lrs: Choices of each round's learning rate.
        max_rounds: Rounds a schedule may have.
    """

    rates: tuple[float, ...]
    epochs: tuple[int, ...]
    lrs: tuple[float, ...]
    max_rounds: int

    @classmethod
    def of(cls, config: SearchConfig) -> Self:
        """The space that a search is configured to explore."""
        return cls(
            rates=config.rates,
            epochs=config.epochs,
            lrs=config.lrs,
            max_rounds=config.max_rounds,
        )

    def rounds(self) -> tuple[Round, ...]:
        """Every distinct round; without epochs the learning rate is the first one's."""
        return tuple(
            Round(rate=rate, epochs=epochs, lr=lr)
            for rate, epochs in product(self.rates, self.epochs)
            for lr in (self.lrs if epochs else self.lrs[:1])
        )

    def sizes(self) -> dict[str, range]:
        """Name and valid indices of every parameter that describes a schedule.

        The number of parameters is fixed, so that samplers, which model what all rows have in
        common, see each position of a schedule in every row.
        """
        choices = {
            "rate": range(len(self.rates)),
            "epochs": range(len(self.epochs)),
            "lr": range(len(self.lrs)),
        }
        return {"rounds": range(1, self.max_rounds + 1)} | {
            f"{name}_{position}": valid
            for position in range(1, self.max_rounds + 1)
            for name, valid in choices.items()
        }

    def encode(self, schedule: Schedule) -> dict[str, int]:
        """Parameters of a schedule; those of positions beyond its end are left out.

        Raises:
            ValueError: A round is not on the grid.
        """
        indices = {"rounds": len(schedule)}
        for position, round_ in enumerate(schedule, start=1):
            indices[f"rate_{position}"] = self.rates.index(round_.rate)
            indices[f"epochs_{position}"] = self.epochs.index(round_.epochs)
            indices[f"lr_{position}"] = self.lrs.index(round_.lr)
        return indices

    def decode(self, indices: Mapping[str, int]) -> Schedule:
        """The schedule of some parameters; those of positions beyond its end are not read."""
        rounds: list[Round] = []
        for position in range(1, indices["rounds"] + 1):
            epochs = self.epochs[indices[f"epochs_{position}"]]
            rate = self.rates[indices[f"rate_{position}"]]
            lr = self.lrs[indices[f"lr_{position}"] if epochs else 0]
            rounds.append(Round(rate=rate, epochs=epochs, lr=lr))
        return tuple(rounds)
