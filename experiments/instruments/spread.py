"""How repeated measurements are summed up: where they lie and how far they lie apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from scipy.stats import t as student_t


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median, quartiles and extremes of n measurements.

    Quartiles are those of the linear interpolation that includes both extremes.
    """

    n: int
    least: float
    lower: float
    median: float
    upper: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of one measurement or more.

        Raises:
            ValueError: There are none.
        """
        if not values:
            raise ValueError("there is no measurement to sum up")
        quartiles = (
            statistics.quantiles(values, n=4, method="inclusive")
            if len(values) > 1
            else [values[0]] * 3
        )
        return cls(
            n=len(values),
            least=min(values),
            lower=quartiles[0],
            median=statistics.median(values),
            upper=quartiles[2],
            most=max(values),
        )

    def __str__(self) -> str:
        return (
            f"{self.median:.2f} (quartiles {self.lower:.2f} to {self.upper:.2f}, "
            f"all {self.least:.2f} to {self.most:.2f}, n={self.n})"
        )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval (Student's t); of a single value that is not known."""
    count = len(values)
    if count == 1:
        return values[0], float("nan")
    spread = statistics.stdev(values) / count**0.5
    return statistics.mean(values), float(student_t.ppf(0.975, count - 1)) * spread
