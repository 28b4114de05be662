"""Which network of a search is taken home."""

from collections.abc import Collection
from dataclasses import dataclass

from pruning import Stage
from search.errors import RefusedError
from search.front.cost import cost_of
from search.front.names import CostName

_LIMITED: tuple[tuple[CostName, str], ...] = (
    ("params", "parameters"),
    ("macs", "multiply-adds"),
    ("bytes", "bytes"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a network may cost, and what it must reach.

    Attributes:
        max_params: Most trainable parameters.
        max_macs: Most multiply-adds for one image.
        max_bytes: Most bytes of the fp32 state dict.
        min_accuracy: Least accuracy on validation images, in (0, 1].

    Raises:
        RefusedError: Nothing is wished, or a value is outside its range.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_bytes: int | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        limits = self._limits()
        if not limits and self.min_accuracy is None:
            raise RefusedError(
                "Say which network: by --stage ID, as in pareto.csv, or by what it may cost or "
                "must reach,\nsuch as --max-params 5000 or --min-accuracy 0.95."
            )
        for name, _, limit in limits:
            if limit < 1:
                raise RefusedError(f"--max-{name} must be at least 1, got {limit}.")
        if self.min_accuracy is not None and not 0 < self.min_accuracy <= 1:
            raise RefusedError(f"--min-accuracy must be in (0, 1], got {self.min_accuracy}.")

    def choose(self, stages: Collection[Stage], cost: CostName) -> Stage:
        """The most accurate network within the limits; without limits, the cheapest.

        Accuracy is that on validation images. Ties go to the cheaper network, or to the more
        accurate one, and then to the lesser id.

        Args:
            stages: The candidates, at least one.
            cost: What the search trades accuracy against.

        Raises:
            RefusedError: None fits; the message names the nearest and what it lacks.
        """
        within = [stage for stage in stages if self._excess(stage) <= 1]
        if not within:
            nearest = min(stages, key=lambda one: (self._excess(one), -one.val_accuracy, one.id))
            raise RefusedError(f"No network fits. {self._too_much(nearest)}")
        by_accuracy = sorted(
            within, key=lambda one: (-one.val_accuracy, cost_of(one, cost), one.id)
        )
        least = self.min_accuracy
        if least is None:
            return by_accuracy[0]
        if by_accuracy[0].val_accuracy < least:
            raise RefusedError(
                f"No network fits. The nearest, {by_accuracy[0].id}, has a validation accuracy of "
                f"{by_accuracy[0].val_accuracy:.4f}, below --min-accuracy {least}."
            )
        if self._limits():
            return by_accuracy[0]
        return min(
            (stage for stage in by_accuracy if stage.val_accuracy >= least),
            key=lambda one: cost_of(one, cost),  # the first of several, so the most accurate
        )

    def _limits(self) -> list[tuple[CostName, str, int]]:
        """The limits that were given, with their unit in words."""
        given = [(name, words, getattr(self, f"max_{name}")) for name, words in _LIMITED]
        return [(name, words, limit) for name, words, limit in given if limit is not None]

    def _excess(self, stage: Stage) -> float:
        """The cost that exceeds its limit the most, relative to it; at most 1 if all fit."""
        return max((cost_of(stage, name) / limit for name, _, limit in self._limits()), default=0)

    def _too_much(self, stage: Stage) -> str:
        excesses = [
            f"{cost:,} {words}, {cost - limit:,} above --max-{name} {limit}"
            for name, words, limit in self._limits()
            if (cost := cost_of(stage, name)) > limit
        ]
        return f"The nearest, {stage.id}, has {' and '.join(excesses)}."
