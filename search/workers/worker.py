"""What runs on a worker: the Ray Tune trainable that runs a schedule, one step a round."""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
from ray import tune
from ray.exceptions import RayError
from torch import Tensor

from data import Bring, DataError, PackedImages, SplitName
from models import first_line
from pruning import (
    Architecture,
    Draft,
    LatencyLadder,
    Metrics,
    NonFiniteError,
    Origin,
    Round,
    RoundRunner,
    Schedule,
    Stage,
    Stopwatch,
    device_name,
    keep_freed_memory,
)
from search.errors import DIVERGED, SearchError
from search.workers.devices import prepare_process
from search.workers.store_actor import Activity, Task

_WAIT_SECONDS = 0.1
_SPLITS: tuple[SplitName, ...] = ("train", "validation")  # the driver tests, when all is over

_TRIAL, _SCHEDULE = "trial", "schedule"  # keys of a trial's configuration
STAGE, OVER, FAILURE, BROKEN = "stage", "over", "failure", "broken"  # keys of a step's result


def trial_config(number: int, schedule: Schedule) -> dict[str, Any]:
    """A trial as Tune's configuration, of which Tune makes several deep copies: so it is flat."""
    return {_TRIAL: number, _SCHEDULE: json.dumps([round_.to_json() for round_ in schedule])}


def trial_of(config: Mapping[str, Any]) -> tuple[int, Schedule]:
    """Number and schedule that `trial_config` wrote."""
    return config[_TRIAL], tuple(Round(**round_) for round_ in json.loads(config[_SCHEDULE]))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPlan:
    """What a worker needs to know of the search.

    Attributes:
        images: Packed on the driver's machine; every other is brought its own copy.
        architecture: Of the root.
        origin: What stages' ids are made of.
        checkpoint: State dict of the root, but for a new head; without it the root is trained.
        trains_on: Whether the root is trained from the checkpoint on.
        ladder: What latencies are compared with where they are what accuracy is traded against.
    """

    images: PackedImages
    architecture: Architecture
    origin: Origin
    checkpoint: Mapping[str, Tensor] | None = None
    trains_on: bool = False
    ladder: LatencyLadder | None = None

    def runner(self, device: torch.device, bring: Bring) -> RoundRunner:
        """Set this process up to run rounds.

        Args:
            device: Where to run them.
            bring: Copies a file of the driver's machine to this one.

        Raises:
            DataError: This machine cannot keep the images.
            SearchError: Those that are here are not those of the search, or they do not fit into
                the device's memory.
            torch.OutOfMemoryError: They would, were it not taken.
        """
        data = self.images.open(bring)
        if data.fingerprint != self.origin.data_fingerprint:
            raise SearchError(
                f"its {self.images.folder.name} among the packed images holds others than the "
                "driver's; remove it"
            )
        self._check_room(sum(getattr(data, split).nbytes for split in _SPLITS), device)
        return RoundRunner(
            architecture=self.architecture,
            data=data.to(device, only=_SPLITS),
            origin=self.origin,
            device=device,
            checkpoint=self.checkpoint,
            trains_on=self.trains_on,
        )

    def stopwatch(self, image_size: int, device: torch.device) -> Stopwatch:
        """What times networks in this process.

        Raises:
            SearchError: Latencies are traded against accuracy, and would be another device's.
        """
        if self.ladder is None:
            return Stopwatch(self.architecture, image_size, device)
        if self.ladder.device != device_name(device):
            raise SearchError(
                f"latencies of this search are those of {self.ladder.device}, not of "
                f"{device_name(device)}; go on with it on such devices alone"
            )
        return Stopwatch(self.architecture, image_size, device, self.ladder.root_ms)

    def _check_room(self, needed: int, device: torch.device) -> None:
        """Check that so many bytes of images fit into a GPU's memory; see `runner`."""
        if device.type != "cuda":
            return
        free, total = torch.cuda.mem_get_info(device)
        if needed > free:
            resized = self.images.padding > 0  # as sets by name are; folders' images never
            smaller = "a smaller --image-size" if resized else "--data of smaller images"
            raise (torch.OutOfMemoryError if needed <= total else SearchError)(
                f"its images take {needed / 1e9:.1f} GB of a GPU's memory, of which "
                f"{free / 1e9:.1f} are free; give fewer --trials-per-gpu, or {smaller}"
            )


class ScheduleTrial(tune.Trainable):
    """Runs the rounds of a schedule that are missing in the store; reused from trial to trial."""

    def setup(self, config: dict[str, Any], plan: WorkerPlan, store: Any, bring: Bring) -> None:
        """Prepare the process; see Ray Tune's `Trainable`."""
        prepare_process()
        keep_freed_memory()
        self._store = store
        self._unfit: str | None = None
        try:
            device = torch.device(plan.origin.device_type)
            runner = plan.runner(device, bring)
            stopwatch = plan.stopwatch(runner.data.image_size, device)
            self._runner = replace(runner, stopwatch=stopwatch)
        except (DataError, SearchError) as error:
            self._unfit = f"a worker on {_machine()} cannot start: {first_line(error)}"
        except RuntimeError as error:  # of torch: another process may have better luck
            raise RuntimeError(first_line(error)) from error
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another schedule; see Ray Tune's `Trainable`."""
        self._trial, self._schedule = trial_of(new_config)
        self._rounds_reached = 0
        self._end: dict[str, Any] | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Go past all stages that exist, and train the first that does not.

        After the end of the trial the same is said again and again: Tune would take this process
        away if the trial ended for Tune before another one waits.

        Returns:
            The id of the stage that was reached. Or that no further round shall be started; or why
            the next cannot be run; or why no round can be.
        """
        if self._end is not None:
            time.sleep(_WAIT_SECONDS)
            return dict(self._end)
        result = self._result()
        if STAGE not in result or self._rounds_reached == len(self._schedule):
            self._end = result
        return dict(result)

    def _result(self) -> dict[str, Any]:
        if self._unfit is not None:
            return {BROKEN: self._unfit}
        try:
            reached = self._advance()
        except NonFiniteError as error:
            return {FAILURE: f"{DIVERGED}: {error}"}
        except MemoryError:
            return {FAILURE: "out of memory"}
        except OSError as error:
            return {BROKEN: f"the stage store failed: {_cause(error)}"}
        except torch.AcceleratorError as error:
            # Nothing that this process asks of its device will succeed: it has to die.
            raise RuntimeError(first_line(error)) from error
        except RayError:
            raise
        except Exception as error:  # torch, or the code of a user's network, which may raise any
            return {FAILURE: f"training failed: {first_line(error)}"}
        if reached is None:
            return {OVER: True}
        self._rounds_reached = len(reached.schedule)
        return {STAGE: reached.id}

    def _advance(self) -> Stage | None:
        while True:
            task: Task = ray.get(self._store.next_task.remote(self._trial, self._schedule))
            if task.step == "over":
                return None
            if task.step == "done":
                return task.reached
            if task.step == "train":
                return self._train(task)
            time.sleep(_WAIT_SECONDS)

    def _train(self, task: Task) -> Stage:
        """Train a stage and hand it over.

        A GPU's memory can be short because processes that share it keep what they free. So a
        round that finds none is tried once more, when this process has given back what it kept.
        """
        try:
            made = self._trained(task)
        except torch.OutOfMemoryError:
            made = None  # when this block ends, the round's tensors are gone
        if made is None:
            torch.cuda.empty_cache()
            made = self._trained(task)
        stage: Stage = ray.get(self._store.commit.remote(self._trial, *made))
        return stage

    def _trained(self, task: Task) -> tuple[Draft, bytes]:
        if task.reached is None or task.weights is None:
            epochs = self._runner.origin.recipe.root_epochs
            return self._runner.root(self._reporter(0, epochs))
        done = len(task.reached.schedule)
        round_ = self._schedule[done]
        reporter = self._reporter(done + 1, round_.epochs)
        return self._runner.child(task.reached, task.weights, round_, reporter)

    def _reporter(self, round_number: int, epochs: int) -> Callable[[int, Metrics], None]:
        def report(epoch: int, metrics: Metrics) -> None:
            activity = Activity(
                round=round_number, epoch=epoch + 1, epochs=epochs, accuracy=metrics.accuracy
            )
            self._store.report.remote(self._trial, activity)

        return report


def _machine() -> str:
    """What people call this machine."""
    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


def _cause(error: OSError) -> str:
    """An operating system's error in words, also when it comes from the store's process."""
    origin = getattr(error, "cause", error)
    return first_line(origin)
