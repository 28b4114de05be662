"""Which network of a search is taken home."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from pruning import Stage
from search.errors import RefusedError
from search.front.cost import cost_of, shown
from search.front.names import CostName


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a network may cost, and what it must reach.

    Attributes:
        max_params: Most parameters.
        max_macs: Most multiply-adds for one image.
        max_bytes: Most bytes of the fp32 state dict.
        max_latency: Most milliseconds of a forward pass, as the search measured it.
        min_accuracy: Least accuracy on validation images, in (0, 1].

    Raises:
        RefusedError: Nothing is wished, or a value is outside its range.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_bytes: int | None = None
    max_latency: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        limits = self._limits()
        if not limits and self.min_accuracy is None:
            raise RefusedError(
                "Say which network: by --stage ID, as in pareto.csv, or by what it may cost or "
                "must reach,\nsuch as --max-params 5000 or --min-accuracy 0.95."
            )
        for name, limit in limits:
            if not 0 < limit < math.inf:
                raise RefusedError(f"--max-{name} must be above 0, got {limit}.")
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
        if self.max_latency is not None and all(stage.latency_ms is None for stage in stages):
            raise RefusedError(
                "--max-latency says nothing of these networks, which were not timed; leave it out."
            )
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

    def _limits(self) -> list[tuple[CostName, float]]:
        """The limits that were given."""
        limits: tuple[tuple[CostName, float | None], ...] = (
            ("params", self.max_params),
            ("macs", self.max_macs),
            ("bytes", self.max_bytes),
            ("latency", self.max_latency),
        )
        return [(name, limit) for name, limit in limits if limit is not None]

    def _excess(self, stage: Stage) -> float:
        """The cost that exceeds its limit the most, relative to it; at most 1 if all fit."""
        return max((_exact(stage, name) / limit for name, limit in self._limits()), default=0)

    def _too_much(self, stage: Stage) -> str:
        excesses = [
            f"{shown(cost, name)}, {shown(cost - limit, name)} above --max-{name} {limit}"
            for name, limit in self._limits()
            if (cost := _exact(stage, name)) > limit
        ]
        return f"The nearest, {stage.id}, has {' and '.join(excesses)}."


def _exact(stage: Stage, name: CostName) -> float:
    """A cost that is held to a limit: of latency not the step in which a search tells it."""
    if name != "latency":
        return cost_of(stage, name)
    return math.inf if stage.latency_ms is None else stage.latency_ms
