"""What a search remembers of trials that failed."""

from pruning import Schedule
from search.errors import DIVERGED

_MOST_IN_A_ROW = 5
_MOST_DEATHS = 4


class Failures:
    """Rounds that are known to diverge, and how often in a row trials failed alike."""

    def __init__(self) -> None:
        self._diverged: dict[Schedule, str] = {}
        self._kinds: list[str] = []  # of the latest, as long as they are the same

    def remember(self, schedule: Schedule, reason: str, reached: int) -> None:
        """Take note of a failure, of this run or an earlier one.

        Args:
            schedule: That could not be finished.
            reason: What happened; up to a colon, the kind of failure.
            reached: How many of its rounds were done; -1 if there was no root.
        """
        if reason.startswith(DIVERGED) and reached < len(schedule):
            self._diverged[schedule[: reached + 1]] = reason

    def known(self, schedule: Schedule) -> tuple[int, str] | None:
        """How far a schedule gets before what is known to diverge, as above, and the reason."""
        for length in range(len(schedule) + 1):
            reason = self._diverged.get(schedule[:length])
            if reason is not None:
                return length - 1, reason
        return None

    def count(self, reason: str) -> str | None:
        """Count a trial that failed.

        Returns:
            What to say when so many in a row failed alike that it is pointless to go on.
        """
        kind = reason.partition(":")[0]
        if self._kinds and self._kinds[0] != kind:
            self._kinds = []
        self._kinds.append(kind)
        if len(self._kinds) < _MOST_IN_A_ROW:
            return None
        return f"{_MOST_IN_A_ROW} trials in a row failed, the last one as {reason}"

    def end_row(self) -> None:
        """Take note of a trial that was finished."""
        self._kinds = []


class Deaths:
    """Counts the workers that died of each trial."""

    def __init__(self) -> None:
        self._deaths: dict[int, int] = {}

    def count(self, number: int, reason: str | None) -> str | None:
        """Count a death, but not one of which no reason lies with the trial.

        Returns:
            Why the trial has failed, when too many workers have died of it.
        """
        if reason is None:
            return None
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if self._deaths[number] < _MOST_DEATHS:
            return None
        return f"worker died: {_MOST_DEATHS} times, the last time of {reason}"
