"""Ray Tune, thinly: hands schedules to workers and brings back what they report."""

import shutil
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from pruning import Stage, StoreError
from search.campaign.assignments import Assignments
from search.errors import LedgerError, in_words
from search.workers.cards import sharing_cards
from search.workers.courier import Courier
from search.workers.crew import Crew
from search.workers.devices import Pool
from search.workers.machines import Machines, machine_in
from search.workers.tune_ways import deaths_told_alike, looked_up_once, set_tune
from search.workers.worker import (
    BROKEN,
    FAILURE,
    OVER,
    STAGE,
    ScheduleTrial,
    WorkerPlan,
    trial_config,
)

_MANY = 100_000  # trials that may wait where there is no telling how many workers will be
_NOTICE = signal.SIGUSR1
_SHORT_OF_MEMORY = (
    "a machine that ran short of memory: fewer --workers or --trials-per-gpu, a smaller "
    "--image-size or --batch-size need less"
)


def run_trials(
    assignments: Assignments,
    pool: Pool,
    plan: WorkerPlan,
    store: Any,
    *,
    scratch: Path,
    on_stage: Callable[[Stage, list[Stage]], None],
    on_failed_start: Callable[[str], None],
    on_machines: Callable[[str], None],
    on_step: Callable[[], None],
) -> None:
    """Run schedules until none is left.

    Args:
        assignments: Where they come from and results go.
        pool: How many workers, and what each of them holds.
        plan: What workers need to know.
        store: Handle of the store actor.
        scratch: A folder for what Tune writes; removed in the end.
        on_stage: Called with a stage that was accepted, and with those stages that have come onto
            the front with it.
        on_failed_start: Called with the reason when a worker could not start.
        on_machines: Called with what is to be said of machines that come or go.
        on_step: Called several times a second; what it raises ends the run.
    """
    set_tune(most_waiting=_MANY if pool.grows else pool.workers)
    trainable = tune.with_resources(
        tune.with_parameters(
            ScheduleTrial, plan=plan, store=store, bring=Courier.of_this_machine()
        ),
        # Where GPUs train, it is they that say how many workers there is room for.
        {"gpu": pool.gpus_per_worker} if pool.gpus else {"cpu": 1},
    )
    numbers: dict[str, int] = {}
    crew = Crew(pool.workers)
    stopper = _AssignmentStopper(
        assignments, crew, store, numbers, on_stage, keep_workers=pool.ahead > pool.workers
    )
    try:
        with deaths_told_alike(), looked_up_once(), sharing_cards(pool) as cards:
            machines = Machines(pool, crew, assignments, cards, on_machines)

            def step() -> None:
                machines.look()
                on_step()

            callback = _AssignmentCallback(
                assignments, crew, numbers, stopper.ended, on_failed_start, step
            )
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=_AssignmentSearcher(assignments, crew, store, numbers),
                    scheduler=_AssignmentScheduler(crew),
                    num_samples=-1,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    storage_path=str(scratch.absolute()),
                    verbose=0,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    stop=stopper,
                    callbacks=[callback],
                ),
            ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Unpickled:
    """What Ray Tune pickles of this, for runs of its own to restore, is empty.

    It would take the whole search with it, and again and again; a search is resumed from its
    ledger, and nothing of Tune's is ever restored.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _AssignmentSearcher(_Unpickled, Searcher):
    """Asks for schedules to run.

    Tune asks for another trial before it gives one that waits to a worker that has become free.
    A proposal takes its time, so none is made while a worker has a trial to begin with.
    """

    def __init__(
        self, assignments: Assignments, crew: Crew, store: Any, numbers: dict[str, int]
    ) -> None:
        super().__init__()
        self._assignments = assignments
        self._crew = crew
        self._store = store
        self._numbers = numbers

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of a trial, None for "not now", or Tune's word for "no more"."""
        if self._crew.handing_over:
            return None
        trial = self._assignments.next_trial()
        if trial is None:
            return Searcher.FINISHED if self._assignments.over else None
        self._numbers[trial_id] = trial.number
        self._crew.wait(trial_id)
        return trial_config(trial.number, trial.schedule)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take note of what became of the trial's worker, and free a dead one's claims."""
        if error:
            self._crew.lose(trial_id)
            self._store.release.remote(self._numbers[trial_id])
        else:
            self._crew.leave(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: a search is resumed from its ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: Tune's own state is not restored."""
        raise NotImplementedError


class _AssignmentScheduler(FIFOScheduler):
    """Gives free workers the first trial that need not wait for a missing one to start."""

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew
        self._begun = 0  # trials, all of the first ones

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """A trial that waits, or None; see Ray Tune's `TrialScheduler`."""
        trials = tune_controller.get_trials()
        while self._begun < len(trials) and trials[self._begun].status != Trial.PENDING:
            self._begun += 1  # and none will ever wait again
        later = map(trials.__getitem__, range(self._begun, len(trials)))
        pending = (trial for trial in later if trial.status == Trial.PENDING)
        return next(islice(pending, self._crew.missing, None), None)


class _AssignmentStopper(_Unpickled, tune.Stopper):
    """Tells what became of schedules, and ends their trials when it is said so.

    Tune asks a stopper about every result, before anybody else hears of it. A trial that has ended
    for us keeps its worker, which reports the end again and again, until there is another trial
    for that worker: Tune would end it.
    """

    def __init__(
        self,
        assignments: Assignments,
        crew: Crew,
        store: Any,
        numbers: dict[str, int],
        on_stage: Callable[[Stage, list[Stage]], None],
        *,
        keep_workers: bool,
    ) -> None:
        self._assignments = assignments
        self._crew = crew
        self._store = store
        self._numbers = numbers
        self._on_stage = on_stage
        self._keep_workers = keep_workers
        self.ended: set[str] = set()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial ends with this result."""
        if trial_id not in self.ended:
            try:
                if not self._ends(self._numbers[trial_id], result):
                    return False
            except (LedgerError, StoreError, OSError) as failure:
                reason = in_words(failure) if isinstance(failure, OSError) else str(failure)
                self._assignments.abandon(reason.removesuffix("."))
            self.ended.add(trial_id)
        return (
            not self._keep_workers or self._assignments.finished or self._crew.has_trial_to_spare
        )

    def _ends(self, number: int, result: dict[str, Any]) -> bool:
        """Pass a result on; returns whether it ends the trial."""
        if STAGE in result:
            stage, newcomers = self._assignments.accept(result[STAGE])
            self._on_stage(stage, newcomers)
            if not self._assignments.ends_with(number, stage):
                return False
        self._store.dismiss.remote(number)  # its worker may go on to ask for its next round
        if self._assignments.broken is not None:
            return True  # it stays as it is, for the next run
        if BROKEN in result:
            self._assignments.abandon(result[BROKEN])
        elif FAILURE in result:
            self._assignments.fail(number, result[FAILURE])
        else:
            self._assignments.end(number, too_long=OVER in result)
        return True

    def stop_all(self) -> bool:
        """Never: the searcher says when there are no more trials."""
        return False


class _AssignmentCallback(_Unpickled, tune.Callback):
    """Tells when trials begin, brings back those of dead workers, and keeps time."""

    def __init__(
        self,
        assignments: Assignments,
        crew: Crew,
        numbers: dict[str, int],
        ended: set[str],
        on_failed_start: Callable[[str], None],
        on_step: Callable[[], None],
    ) -> None:
        self._begun: set[str] = set()
        self._assignments = assignments
        self._crew = crew
        self._numbers = numbers
        self._ended = ended
        self._on_failed_start = on_failed_start
        self._on_step = on_step
        self._notice = signal.getsignal(_NOTICE)

    def setup(self, **info: Any) -> None:
        """Take back a signal to which Tune would end its loop as if all were done."""
        signal.signal(_NOTICE, self._notice)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Take note that a worker has begun."""
        self._begun.add(trial.trial_id)
        self._crew.start(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Put back a trial whose worker died.

        A worker that died in its start is no fault of the trial. It may have found its GPU taken,
        or broken, and another one have better luck.

        Tune's own retries are not used: it does not try again what dies while it is reset.
        """
        if trial.trial_id in self._ended:
            return
        error = Path(trial.error_file)
        text = error.read_text(errors="replace") if error.is_file() else ""
        reason = _cause(text)
        begun = trial.trial_id in self._begun
        if not begun:
            self._on_failed_start(reason + machine_in(text))
        if self._crew.cannot_start:
            self._assignments.abandon(f"no worker can start, the last one for {reason}")
        try:
            self._assignments.retry(self._numbers[trial.trial_id], reason if begun else None)
        except LedgerError as failure:
            self._assignments.abandon(str(failure).removesuffix("."))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Let the driver show progress, and stop."""
        self._on_step()


def _cause(text: str) -> str:
    """Of what a worker has died, from what Tune keeps of its error."""
    if "running low on memory" in text or "out of memory" in text:
        return _SHORT_OF_MEMORY
    return " ".join(text.split("\n")[-2:]).strip() or "no message"
