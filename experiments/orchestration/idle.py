"""How much of the workers' time is not spent in rounds. Arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from experiments.orchestration.sleeping import SleptRound


@dataclass(frozen=True, kw_only=True, slots=True)
class Idle:
    """What became of the workers' time in a stretch of a search.

    Attributes:
        workers: Workers that were declared.
        seconds: Length of the stretch.
        rounds: Rounds that were run in it; those that reach over its edges count in part.
        idle_seconds: Of all workers together, outside rounds.
    """

    workers: int
    seconds: float
    rounds: float
    idle_seconds: float

    @classmethod
    def between(cls, start: float, end: float, slept: Sequence[SleptRound], workers: int) -> Self:
        """Of the stretch from `start` to `end`, in the clock of `slept`.

        Raises:
            ValueError: The stretch is empty.
        """
        if end <= start:
            raise ValueError(f"a stretch from {start} to {end} has no length")
        inside = [max(0.0, min(end, one.end) - max(start, one.start)) for one in slept]
        return cls(
            workers=workers,
            seconds=end - start,
            rounds=sum(part / one.seconds for part, one in zip(inside, slept, strict=True)),
            idle_seconds=workers * (end - start) - sum(inside),
        )

    @property
    def share(self) -> float:
        """Of the workers' time, what was not spent in rounds."""
        return self.idle_seconds / (self.workers * self.seconds)

    @property
    def in_flight(self) -> float:
        """Rounds that were being run at a time, on average."""
        return self.workers * (1 - self.share)

    @property
    def seconds_a_round(self) -> float:
        """Overhead of a round; infinite where there was none."""
        return self.idle_seconds / self.rounds if self.rounds else float("inf")

    def __str__(self) -> str:
        return (
            f"{self.share:6.1%} of worker time, {self.seconds_a_round:.3f} s a round "
            f"({self.rounds:.0f} rounds in {self.seconds:.0f} s), "
            f"{self.in_flight:.2f} in flight"
        )


def all_up(slept: Sequence[SleptRound], workers: int) -> float | None:
    """When as many processes had begun a round as there are workers; None if they never had."""
    first: dict[int, float] = {}
    for one in slept:
        first[one.process] = min(one.start, first.get(one.process, one.start))
    starts = sorted(first.values())
    return starts[workers - 1] if len(starts) >= workers else None
