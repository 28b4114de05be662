"""The stage store's one writer, as a Ray actor on the driver's machine."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pruning import Draft, Round, Schedule, Stage, StageStore, StoreError

Step: TypeAlias = Literal["train", "wait", "over", "done"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a trial shall do next.

    Attributes:
        reached: The last of its schedule's stages that exist without a gap; None if there is no
            root.
        step: "train" the next one; "wait", since another trial trains it; "over", since its
            epochs would pass the limit, the store is closed, or the trial was dismissed; "done",
            since none is missing.
        weights: To train from: content of `model.safetensors` of `reached`.
    """

    reached: Stage | None
    step: Step
    weights: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What a worker is doing: an epoch of a round. Round 0 is the training of the root.

    `accuracy` is that on the epoch's training images, as they were augmented.
    """

    round: int
    epoch: int
    epochs: int
    accuracy: float


class StoreActor:
    """Hands out stages, decides who trains a missing one, and commits what was trained.

    A stage is trained once: the first trial that asks for a missing stage gets the claim on it,
    the others wait. The claim ends with the commit, or when the driver says that the trial
    ended.

    Repeats are no part of the search: neither its limit of epochs nor its end keeps them back.

    Args:
        folder: Of the store.
        max_epochs: Fine-tuning epochs that may be executed; None is no limit.
    """

    def __init__(self, folder: Path, max_epochs: int | None = None) -> None:
        self._max_epochs = max_epochs
        self._closed = False
        self._store = StageStore(folder, repair=True)
        self._claims: dict[tuple[str | None, Round | None], int] = {}
        self._dismissed: set[int] = set()
        self._activities: dict[int, Activity] = {}

    def next_task(self, trial: int, schedule: Schedule) -> Task:
        """What a trial shall do for its schedule; a stage that it shall train is claimed for it.

        A damaged stage that it would train from is set aside, and so has to be trained first.
        """
        if trial in self._dismissed:
            return Task(reached=None, step="over")
        stages = self._store.path(schedule)
        if len(stages) > len(schedule):
            return Task(reached=stages[-1], step="done")
        if not stages:
            return Task(reached=None, step=self._claim(trial, None, None))
        reached = stages[-1]
        step = self._claim(trial, reached.id, schedule[len(stages) - 1])
        if step != "train":
            return Task(reached=reached, step=step)
        try:
            return Task(reached=reached, step=step, weights=self._store.weights(reached.id))
        except StoreError as error:
            self._store.put_aside(reached.id, str(error))
            self.release(trial)
            return self.next_task(trial, schedule)

    def commit(self, trial: int, draft: Draft, weights: bytes) -> Stage:
        """Accept a stage that a trial has trained."""
        stage = self._store.commit(draft, weights, trial=trial)
        self.release(trial)
        return stage

    def release(self, trial: int) -> None:
        """End the claims of a trial."""
        self._claims = {edge: holder for edge, holder in self._claims.items() if holder != trial}
        self._activities.pop(trial, None)

    def dismiss(self, trial: int) -> None:
        """Give a trial no more to do, since it has ended."""
        self._dismissed.add(trial)
        self.release(trial)

    def close(self) -> None:
        """Have no round of the search started any more; those being run are still accepted."""
        self._closed = True

    def report(self, trial: int, activity: Activity) -> None:
        """Take note of what a trial's worker is doing."""
        self._activities[trial] = activity

    def activities(self) -> dict[int, Activity]:
        """What the workers are doing, by trial."""
        return self._activities

    def _claim(self, trial: int, parent: str | None, round_: Round | None) -> Step:
        edge = (parent, round_)
        if edge not in self._claims:
            if not (round_ and round_.replicate):
                if self._closed:
                    return "over"
                left = self._epochs_left()
                claimed = sum(round_.epochs for _, round_ in self._claims if round_ is not None)
                epochs = 0 if round_ is None else round_.epochs
                if epochs > left:
                    return "over"
                if epochs > left - claimed:
                    return "wait"  # a claim may come to nothing
            self._claims[edge] = trial
        return "train" if self._claims[edge] == trial else "wait"

    def _epochs_left(self) -> float:
        if self._max_epochs is None:
            return math.inf
        return self._max_epochs - self._store.executed_epochs
