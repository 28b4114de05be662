"""The driver: from a configuration to a finished results folder.

To start and to resume are the same: open ledger and store, go on until nothing is left.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from data import ImageData
from pruning import StoreError
from search.campaign.assignments import Assignments
from search.configuration import SearchConfig
from search.console import Console
from search.errors import BrokenOffError, LedgerError
from search.final_test import record_test_accuracy
from search.front.stages import front, hypervolume
from search.images import open_images
from search.interruption import Interruption
from search.kept import command_line
from search.opening import Search, open_search, pool_request
from search.results.folder import ResultsFolder
from search.results.luck import luck
from search.results.run_time import RunTime
from search.results.writer import ResultsWriter
from search.root import find_root
from search.watch.expectation import Expectation
from search.watch.listening import listening
from search.watch.observer import ConfirmationObserver, Desk, Follower, Observer
from search.watch.words import front_rows
from search.workers.devices import Pool
from search.workers.ray_cluster import (
    Activities,
    failing_in_words,
    leave_ray,
    start_store,
    watching_daemons,
    worker_pool,
)
from search.workers.ray_start import start_ray
from search.workers.tune_loop import run_trials

_REASONS = 3  # for failures, that are shown in the end


End = Callable[[BaseException], None]
"""Ends the program at once, for a reason; called from another thread than the main one."""


def run_search(config: SearchConfig, console: Console, end: End) -> None:
    """Start or resume a search, and run it to its end.

    Args:
        config: What to search.
        console: Where to write.
        end: Called where no exception can end the run.

    Raises:
        RefusedError: It cannot be started; nothing was changed.
        BrokenOffError: It cannot go on; what was done is kept.
        KeyboardInterrupt: It was interrupted; what was done is kept.
    """
    folder = ResultsFolder(config.folder)
    resume = config.resume is not None
    folder.check(resume=resume)
    with (
        listening(config, folder, console.line) as events,
        failing_in_words(),
        worker_pool(pool_request(config)) as pool,
    ):
        data = open_images(config, console)
        root = find_root(config, folder, data)
        with folder.locked(resume=resume):
            search = open_search(config, folder, data, root, pool)
            for note in root.notes(config) if not resume else ():
                console.line(note)
            for reason in search.store.set_aside.values():
                console.line(f"Set aside, to be trained again: {reason}")
            results = ResultsWriter(
                folder,
                search.store,
                config.cost,
                command=command_line(search.config),
                say=console.line,
            )
            desk = Desk(results=results, console=console, events=events)
            expectation = Expectation.of(data.validation, trained_elsewhere=root.taken_whole)
            _run(search, desk, expectation, pool, end)
            leave_ray()  # workers hold memory that the test may need
            try:
                _finish(search, desk, data)
            except StoreError as error:
                raise BrokenOffError(f"{error}.") from error


def _run(search: Search, desk: Desk, expectation: Expectation, pool: Pool, end: End) -> None:
    console = desk.console
    run_time = RunTime(search.folder)
    limit = search.config.max_hours
    workplace = _Workplace(search, desk, run_time, pool, end)
    campaign = search.campaign(pool.ahead)
    _check_hours(campaign, run_time, limit)
    try:
        if not campaign.finished:
            _announce(search, pool, desk)
            workplace.run(
                campaign,
                partial(
                    Observer,
                    campaign,
                    desk,
                    expectation=expectation,
                    time_share=lambda: 0.0 if limit is None else run_time.hours / limit,
                ),
            )
        if campaign.ended_by is not None:
            console.line(f"Ended after {len(search.ledger)} trials: {campaign.ended_by}.")
        search.store.rescan()
        confirmation = search.confirmation(pool.ahead)
        if confirmation.finished:
            return
        _check_hours(confirmation, run_time, limit)
        if not confirmation.finished:
            console.news(
                f"Confirming the front: {confirmation.asked} of its rounds are trained again, "
                "with other seeds."
            )
            workplace.run(confirmation, partial(ConfirmationObserver, confirmation, desk))
        for reason, count in Counter(confirmation.failures).most_common(_REASONS):
            console.line(f"{count} repeats failed: {reason}")
        if confirmation.ended_by is not None:
            missing = confirmation.asked - confirmation.done
            console.line(f"{missing} repeats of --confirm are missing: {confirmation.ended_by}.")
    finally:
        run_time.save()
        with suppress(LedgerError):  # what is not written is found out again
            search.ledger.flush()


class _Workplace:
    """Has assignments run by workers; Ray and the store's writer start with the first."""

    def __init__(
        self,
        search: Search,
        desk: Desk,
        run_time: RunTime,
        pool: Pool,
        end: End,
    ) -> None:
        self._search = search
        self._desk = desk
        self._run_time = run_time
        self._pool = pool
        self._end = end
        self._writer: Any = None
        self._warned = False

    def run(self, assignments: Assignments, follow: Callable[[Activities], Follower]) -> None:
        """Run them to the end; `follow` makes what shows and records it."""
        search = self._search
        if self._writer is None:
            start_ray(self._pool)
            self._writer = start_store(search.folder.stages, search.config.epoch_budget)
        follower = follow(Activities(self._writer))
        interruption = Interruption()

        def on_step() -> None:
            interruption.check()
            _check_broken(assignments)
            self._run_time.save_if_due()
            _check_hours(assignments, self._run_time, search.config.max_hours)
            if assignments.cut:
                self._writer.close.remote()
            follower.show()

        def on_death(daemon: str) -> None:
            died = BrokenOffError(f"Ray failed: its {daemon} has died.")
            self._end(KeyboardInterrupt() if interruption.asked else died)

        with (
            _in_order(follower, self._desk.results),
            interruption.watching(),
            watching_daemons(on_death),
        ):
            run_trials(
                assignments,
                self._pool,
                search.plan,
                self._writer,
                scratch=search.folder.scratch,
                on_stage=follower.on_stage,
                on_failed_start=self._warn,
                on_machines=self._desk.console.line,
                on_step=on_step,
            )
        _check_broken(assignments)
        if not assignments.over:
            raise BrokenOffError("Ray Tune ended before all was done.")

    def _warn(self, reason: str) -> None:
        """Say once that workers fail in their start, since a GPU may be lost to the search."""
        if not self._warned:
            self._desk.console.line(f"A worker could not start, and is replaced: {reason}")
        self._warned = True


def _announce(search: Search, pool: Pool, desk: Desk) -> None:
    config, console = search.config, desk.console
    desk.events.add(
        "start",
        folder=str(search.folder.path),
        sampler=config.sampler,
        workers=pool.workers,
        device_type=pool.device_type,
        cost=config.cost,
        max_epochs=config.epoch_budget,
        trials=config.trials,
    )
    console.news(
        f"{_budget(config)} by {config.sampler} on {pool.workers} worker(s), "
        f"{pool.device_type}; rounds are shown as rate/epochs/lr; results in {search.folder.path}"
    )
    if pool.left_out:
        what = "GPUs" if pool.gpus else "cores"
        console.line(
            f"The cluster has no free {what} for {pool.left_out} more worker(s)"
            f"{'; what becomes free is used' if pool.grows else ''}."
        )


def _budget(config: SearchConfig) -> str:
    limits = ((config.trials, "trials"), (config.epoch_budget, "epochs"))
    return " and ".join(f"{limit} {what}" for limit, what in limits if limit is not None)


@contextmanager
def _in_order(follower: Follower, results: ResultsWriter) -> Iterator[None]:
    """Leave events and results up to date however trials end."""
    try:
        yield
    finally:
        follower.finish()
        results.write_all()


def _check_broken(assignments: Assignments) -> None:
    if assignments.broken is not None:
        raise BrokenOffError(f"{assignments.broken}.")


def _check_hours(assignments: Assignments, run_time: RunTime, limit: float | None) -> None:
    if limit is not None and run_time.hours >= limit:
        assignments.close(f"the {limit:g} hours of --max-hours are over")


def _finish(search: Search, desk: Desk, data: ImageData) -> None:
    """Fill in the test accuracy of the front, write all down, say what was found."""
    console = desk.console
    search.store.rescan()
    members = front(search.store, search.config.cost)
    if data.test.labelled:
        record_test_accuracy(search.plan, search.store, members, data, console)
    desk.results.write_all()
    stopped = sum(trial.stopped for trial in search.ledger)
    failed = sum(trial.failed for trial in search.ledger)
    reasons = Counter(trial.reason for trial in search.ledger if trial.failed)
    for reason, count in reasons.most_common(_REASONS):
        console.line(f"{count} failed: {reason}")
    if not members:
        raise BrokenOffError("No network was made.")
    for row in front_rows(front(search.store, search.config.cost), search.config.cost):
        console.news(row)
    console.line(
        f"Done: {len(search.ledger)} trials ({stopped} stopped early, {failed} failed), "
        f"{len(search.store)} networks, "
        f"{search.store.executed_epochs} epochs; {len(members)} on the front, "
        f"hypervolume {hypervolume(members, search.scale, search.config.cost):.4f}."
    )
    for line in luck(search.store, search.config.cost):
        console.line(line)
    console.line(
        f"The front is in {search.folder.path / 'pareto.csv'}; "
        f"to look at: {search.folder.path / 'report.html'}"
    )
