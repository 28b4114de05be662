"""The stage store's one writer, as a Ray actor on the driver's machine."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pruning import Draft, Round, Stage, StageStore, StoreError

Answer: TypeAlias = Stage | Literal["train", "wait", "over"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What a worker is doing: an epoch of a round. Round 0 is the training of the root."""

    round: int
    epoch: int
    epochs: int


class StoreActor:
    """Hands out stages, decides who trains a missing one, and commits what was trained.

    A stage is trained once: the first trial that asks for a missing stage gets the claim on it,
    the others wait. The claim ends with the commit, or when the driver says that the trial
    ended.

    Args:
        folder: Of the store.
        max_epochs: Fine-tuning epochs that may be executed; None is no limit.
    """

    def __init__(self, folder: Path, max_epochs: int | None = None) -> None:
        self._max_epochs = max_epochs
        self._closed = False
        self._store = StageStore(folder, repair=True)
        self._claims: dict[tuple[str | None, Round | None], int] = {}
        self._activities: dict[int, Activity] = {}

    def request(self, trial: int, parent: str | None, round_: Round | None) -> Answer:
        """Ask for a stage.

        Returns:
            The stage; or "train" if this trial shall train it, "wait" if another one does, "over"
            if its epochs would pass the limit, or the store is closed.
        """
        stage = self._store.child(parent, round_)
        if stage is not None:
            return stage
        edge = (parent, round_)
        if edge not in self._claims:
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

    def weights(self, trial: int, stage_id: str) -> bytes | None:
        """Content of a stage's `model.safetensors`, for a trial that prunes it.

        Returns:
            The content; or None if it is damaged. The stage is then missing, to be trained again,
            and the trial's claim on its child has ended.
        """
        try:
            return self._store.weights(stage_id)
        except StoreError as error:
            self._store.put_aside(stage_id, str(error))
            self.release(trial)
            return None

    def commit(self, trial: int, draft: Draft, weights: bytes) -> Stage:
        """Accept a stage that a trial has trained."""
        stage = self._store.commit(draft, weights, trial=trial)
        self.release(trial)
        return stage

    def release(self, trial: int) -> None:
        """End the claims of a trial."""
        self._claims = {edge: holder for edge, holder in self._claims.items() if holder != trial}
        self._activities.pop(trial, None)

    def close(self) -> None:
        """Have no round started any more; those that are being run are still accepted."""
        self._closed = True

    def report(self, trial: int, activity: Activity) -> None:
        """Take note of what a trial's worker is doing."""
        self._activities[trial] = activity

    def activities(self) -> dict[int, Activity]:
        """What the workers are doing, by trial."""
        return self._activities

    def _epochs_left(self) -> float:
        if self._max_epochs is None:
            return math.inf
        return self._max_epochs - self._store.executed_epochs
