"""Rounds that sleep: the project's own workers and store, but the training takes a known time."""

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from data import Bring
from pruning import Draft, Round, RoundRunner, Schedule, width_mult
from pruning.runner import OnEpoch
from pruning.stages import stage_seed
from search.workers.worker import WorkerPlan

_BYTES_A_PARAMETER = 4
_NOISE = 0.05  # of the accuracy, so that not every stage is on the front


@dataclass(frozen=True, kw_only=True, slots=True)
class SleptRound:
    """When a worker's process was in a round, in seconds of the machine's clock."""

    process: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long the round took."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class SleepingRunner(RoundRunner):
    """Runs rounds by sleeping; weights are zeros of the size that the real ones would have.

    Attributes:
        round_seconds: How long a round takes.
        trace: A folder; each process writes its rounds into a file of its own.
    """

    round_seconds: float
    trace: Path

    def root(self, on_epoch: OnEpoch | None = None) -> tuple[Draft, bytes]:
        """See `RoundRunner`."""
        return self._sleep(None, None)

    def child(
        self, parent: Draft, weights: bytes, round_: Round, on_epoch: OnEpoch | None = None
    ) -> tuple[Draft, bytes]:
        """See `RoundRunner`."""
        return self._sleep(parent, round_)

    def _sleep(self, parent: Draft | None, round_: Round | None) -> tuple[Draft, bytes]:
        start = time.time()
        time.sleep(self.round_seconds)
        made = made_up(self, parent, round_, self.round_seconds)
        with (self.trace / str(os.getpid())).open("a") as file:
            file.write(f"{start} {time.time()}\n")
        return made


def made_up(
    runner: RoundRunner, parent: Draft | None, round_: Round | None, seconds: float
) -> tuple[Draft, bytes]:
    """What a round may come to that is not run, and weights of the size that its would have.

    Args:
        runner: That would run it.
        parent: What it is run on; None for the root.
        round_: The round; None for the root.
        seconds: That it is said to have taken.
    """
    stage_id = runner.origin.stage_id(None if parent is None else parent.id, round_)
    schedule: Schedule = ()
    if parent is not None and round_ is not None:
        schedule = (*parent.schedule, round_)
    width = width_mult(schedule)
    channels = runner.architecture.channels_at(width)
    params = runner.architecture.params(channels)
    luck = stage_seed(stage_id) / 2**63
    draft = Draft(
        id=stage_id,
        parent=None if parent is None else parent.id,
        schedule=schedule,
        channels=channels,
        params=params,
        macs=runner.architecture.macs(channels, runner.data.image_size),
        size_bytes=_BYTES_A_PARAMETER * params,
        val_loss=1.0,
        val_accuracy=1 - 0.5 / (1 + 9 * width) - _NOISE * luck,
        seconds=seconds,
    )
    return draft, bytes(draft.size_bytes)


@dataclass(frozen=True, kw_only=True, slots=True)
class SleepingPlan(WorkerPlan):
    """A plan whose workers open the search's images, as always, and then sleep.

    Attributes:
        round_seconds: How long a round takes.
        trace: A folder for `read_trace`.
    """

    round_seconds: float
    trace: Path

    @classmethod
    def of(cls, plan: WorkerPlan, *, round_seconds: float, trace: Path) -> "SleepingPlan":
        """The same plan with sleep in place of training."""
        kept = {field.name: getattr(plan, field.name) for field in fields(plan)}
        return cls(**kept, round_seconds=round_seconds, trace=trace)

    def runner(self, device: torch.device, bring: Bring) -> SleepingRunner:
        """See `WorkerPlan`."""
        awake = WorkerPlan.runner(self, device, bring)
        kept = {field.name: getattr(awake, field.name) for field in fields(awake)}
        return SleepingRunner(**kept, round_seconds=self.round_seconds, trace=self.trace)


def read_trace(trace: Path) -> list[SleptRound]:
    """All rounds that were slept, in order of their start."""
    rounds = [
        SleptRound(process=int(path.name), start=float(start), end=float(end))
        for path in trace.iterdir()
        for start, end in (line.split() for line in path.read_text().splitlines())
    ]
    return sorted(rounds, key=lambda slept: slept.start)
