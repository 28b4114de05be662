"""The driver: from a configuration to a finished results folder.

To start and to resume are the same: open ledger and store, go on until nothing is left.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

import torch

from data import ImageData
from pruning import StoreError
from search.campaign.campaign import Campaign
from search.configuration import SearchConfig
from search.console import Console
from search.errors import BrokenOffError
from search.front.stages import front, hypervolume
from search.interruption import Interruption
from search.observer import Observer
from search.opening import Search, find_root, open_images, open_search, pool_request
from search.results.folder import ResultsFolder
from search.results.run_time import RunTime
from search.results.table_writer import TableWriter
from search.workers.devices import Pool
from search.workers.ray_cluster import (
    Activities,
    failing_in_words,
    start_ray,
    start_store,
    watching_daemons,
    worker_pool,
)
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
    with worker_pool(pool_request(config)) as pool:
        source, data = open_images(config, console)
        root = find_root(config, folder, data)
        with folder.locked(resume=resume):
            search = open_search(config, folder, source, data, root, pool)
            for reason in search.store.set_aside.values():
                console.line(f"Set aside, to be trained again: {reason}")
            tables = TableWriter(folder, search.store)
            _run(search, tables, pool, console, end)
            try:
                _finish(search, tables, data, console)
            except StoreError as error:
                raise BrokenOffError(f"{error}.") from error


def _run(search: Search, tables: TableWriter, pool: Pool, console: Console, end: End) -> None:
    config = search.config
    campaign = search.campaign(pool.ahead)
    run_time = RunTime(search.folder)
    _check_hours(campaign, run_time, config.max_hours)
    if not campaign.finished:
        try:
            _run_trials(search, campaign, tables, run_time, pool, console, end)
        finally:
            run_time.save()
    if campaign.ended_by is not None:
        console.line(f"Ended after {len(search.ledger)} trials: {campaign.ended_by}.")


def _run_trials(
    search: Search,
    campaign: Campaign,
    tables: TableWriter,
    run_time: RunTime,
    pool: Pool,
    console: Console,
    end: End,
) -> None:
    config = search.config
    start_ray(pool)
    writer = start_store(search.folder.stages, config.epoch_budget)
    observer = Observer(campaign, tables, console, Activities(writer))
    interruption = Interruption()

    def on_step() -> None:
        interruption.check()
        _check_broken(campaign)
        run_time.save_if_due()
        _check_hours(campaign, run_time, config.max_hours)
        if campaign.cut:
            writer.close.remote()
        observer.show()

    def on_death(daemon: str) -> None:
        died = BrokenOffError(f"Ray failed: its {daemon} has died.")
        end(KeyboardInterrupt() if interruption.asked else died)

    console.line(
        f"{_budget(config)} by {config.sampler} on {pool.workers} worker(s), "
        f"{pool.device_type}; rounds are shown as rate/epochs/lr; results in {search.folder.path}"
    )
    with (
        _in_order(tables),
        failing_in_words(),
        interruption.watching(),
        watching_daemons(on_death),
    ):
        run_trials(
            campaign,
            pool,
            search.plan,
            writer,
            scratch=search.folder.scratch,
            on_stage=observer.on_stage,
            on_step=on_step,
        )
    _check_broken(campaign)


def _budget(config: SearchConfig) -> str:
    limits = ((config.trials, "trials"), (config.epoch_budget, "epochs"))
    return " and ".join(f"{limit} {what}" for limit, what in limits if limit is not None)


@contextmanager
def _in_order(tables: TableWriter) -> Iterator[None]:
    """Leave the tables up to date however trials end."""
    try:
        yield
    finally:
        tables.write_front()
        tables.write_candidates()


def _check_broken(campaign: Campaign) -> None:
    if campaign.broken is not None:
        raise BrokenOffError(f"{campaign.broken}.")


def _check_hours(campaign: Campaign, run_time: RunTime, limit: float | None) -> None:
    if limit is not None and run_time.hours >= limit:
        campaign.close(f"the {limit:g} hours of --max-hours are over")


def _finish(search: Search, tables: TableWriter, data: ImageData, console: Console) -> None:
    """Fill in the test accuracy of the front, write the tables, say what was found."""
    search.store.rescan()
    members = front(search.store)
    if data.test.labelled:
        # With --address the driver's machine may have no GPU.
        on_gpu = search.plan.origin.device_type == "cuda" and torch.cuda.is_available()
        runner = search.plan.runner(torch.device("cuda" if on_gpu else "cpu"))
        for stage in members:
            if stage.test_accuracy is None:
                accuracy = runner.test_accuracy(stage, search.store.weights(stage.id))
                search.store.set_test_accuracy(stage.id, accuracy)
    tables.write_front()
    tables.write_candidates()
    stopped = sum(trial.stopped for trial in search.ledger)
    failed = sum(trial.failed for trial in search.ledger)
    reasons = Counter(trial.reason for trial in search.ledger if trial.failed)
    for reason, count in reasons.most_common(_REASONS):
        console.line(f"{count} failed: {reason}")
    if not members:
        raise BrokenOffError("No network was made.")
    console.line(
        f"Done: {len(search.ledger)} trials ({stopped} stopped early, {failed} failed), "
        f"{len(search.store)} networks, "
        f"{search.store.executed_epochs} epochs; {len(members)} on the front, "
        f"hypervolume {hypervolume(members, search.scale):.4f}."
    )
    gaps = [
        stage.test_accuracy - stage.val_accuracy
        for stage in front(search.store)
        if stage.test_accuracy is not None
    ]
    if gaps:
        console.line(
            "The front was chosen by validation accuracy; on test images, which had no part in "
            f"that, accuracy differs by {fmean(gaps):+.3f} on average."
        )
    console.line(f"The front is in {search.folder.path / 'pareto.csv'}")
