"""Whether a root's accuracy is what one would expect."""

from dataclasses import dataclass
from math import sqrt
from typing import Self

from data import Split

_DEVIATIONS = 3
_LEAST_GAIN = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """What accuracy a root must have if it was trained on images such as these.

    Attributes:
        images: Size of the validation split.
        guess: Accuracy of always naming its commonest class.
        trained_elsewhere: Whether the root is a checkpoint's.
    """

    images: int
    guess: float
    trained_elsewhere: bool

    @classmethod
    def of(cls, split: Split, *, trained_elsewhere: bool) -> Self:
        """The expectation of a root that is validated on a split."""
        commonest = int(split.labels.bincount().max())
        return cls(
            images=len(split), guess=commonest / len(split), trained_elsewhere=trained_elsewhere
        )

    def doubt(self, accuracy: float) -> str | None:
        """A line on a root that falls short of this; None on one that does not.

        Hits of a guess are binomial: in one of 700 searches they lie three standard deviations
        above their mean. Of a checkpoint that somebody kept more is expected, a fifth of the way
        from there to 1: with classes in another order some may yet be in their place.
        """
        least = self.guess + _DEVIATIONS * sqrt(self.guess * (1 - self.guess) / self.images)
        if self.trained_elsewhere:
            least = max(least, self.guess + _LEAST_GAIN * (1 - self.guess))
        if accuracy > least:
            return None
        usually = (
            "usually the checkpoint has its classes in another order than --data, or was trained "
            "on images prepared otherwise than here (RGB divided by 255, then --normalize)"
            if self.trained_elsewhere
            else "usually more --root-epochs help, in a search with another --out"
        )
        return (
            f"The root's accuracy on {self.images:,} validation images is {accuracy:.4f}, where "
            f"always naming the commonest class has {self.guess:.4f}: {usually}."
        )
