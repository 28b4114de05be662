"""How repeated measurements are summed up: their median and how far they lie apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


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
