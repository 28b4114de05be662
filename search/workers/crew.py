"""Which of a search's workers are busy, free or missing, by what is heard of its trials.

Ray Tune gives a worker whose trial has ended to one that waits, and ends the worker if none does.
A trial that waits asks for a worker of its own as well; given another one, it ends its own, even
in the middle of its start. So where rounds are shorter than a worker's start, a worker that is
once lost would never be replaced, unless as many waiting trials as workers are missing are left
alone.
"""

_MOST_STARTS = 4  # that fail in a row, for each worker


class Crew:
    """Keeps count of workers.

    Args:
        workers: How many there shall be.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waiting: set[str] = set()
        self._busy: set[str] = set()
        self._free = 0
        self._failed_starts = 0

    def wait(self, trial_id: str) -> None:
        """A trial was proposed, and waits for a worker."""
        self._waiting.add(trial_id)

    def start(self, trial_id: str) -> None:
        """A worker has begun with a trial: one that was free, or else a new one."""
        self._waiting.discard(trial_id)
        self._busy.add(trial_id)
        self._free = max(0, self._free - 1)
        self._failed_starts = 0

    def leave(self, trial_id: str) -> None:
        """A trial's worker has become free."""
        self._busy.discard(trial_id)
        self._free += 1

    def lose(self, trial_id: str) -> None:
        """A trial's worker has died, at work or while it was given the trial."""
        if trial_id in self._waiting:
            self._waiting.discard(trial_id)
            self._free = max(0, self._free - 1)
            self._failed_starts += 1
        self._busy.discard(trial_id)

    @property
    def cannot_start(self) -> bool:
        """Whether workers have died in their start so often that it is pointless to go on."""
        return self._failed_starts >= _MOST_STARTS * self.workers

    @property
    def missing(self) -> int:
        """Workers that are yet to start, or to be replaced."""
        return max(0, self.workers - len(self._busy) - self._free)

    @property
    def handing_over(self) -> bool:
        """Whether a free worker has a trial to begin with."""
        return self._free > 0 and bool(self._waiting)

    @property
    def has_trial_to_spare(self) -> bool:
        """Whether a trial waits that no free or missing worker will begin with."""
        return len(self._waiting) > self._free + self.missing
