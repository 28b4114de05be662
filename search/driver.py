"""The driver: from a configuration to a finished results folder.

To start and to resume are the same: open ledger and store, go on until nothing is left.
"""

from dataclasses import dataclass

import optuna
import ray

from data import DataError, DataSource, ImageData, open_data
from models import student_channels
from pruning import Origin, Recipe, StageStore, StudentArchitecture
from search.campaign import Campaign, front, hypervolume
from search.configuration import SearchConfig
from search.console import Console
from search.description import describe
from search.devices import Pool
from search.errors import RefusedError, SearchError
from search.front import Scale
from search.interruption import Interruption
from search.ledger import Ledger
from search.observer import Observer, Tables
from search.ray_cluster import start_ray, start_store, worker_pool
from search.results_folder import ResultsFolder
from search.samplers import make_sampler
from search.space import SearchSpace
from search.tune_loop import run_trials
from search.worker import WorkerPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class _Search:
    """What a search consists of once its folder is open."""

    config: SearchConfig
    space: SearchSpace
    folder: ResultsFolder
    plan: WorkerPlan
    scale: Scale
    ledger: Ledger
    store: StageStore
    tables: Tables


def run_search(config: SearchConfig, console: Console) -> None:
    """Start or resume a search, and run it to its end.

    Raises:
        RefusedError: It cannot be started; nothing was changed.
        KeyboardInterrupt: It was interrupted; what was done is kept.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = ResultsFolder(config.folder)
    resume = config.resume is not None
    folder.check(resume=resume)
    source = DataSource(data=config.data, data_root=config.data_root, image_size=config.image_size)
    data = _open_data(source, console)
    with worker_pool(config) as pool, folder.locked(resume=resume):
        search = _open_search(config, folder, source, data, pool)
        _run(search, pool, console)
        _finish(search, data, console)


def _open_data(source: DataSource, console: Console) -> ImageData:
    def progress(split: str, done: int, total: int) -> None:
        if console.status_is_due():
            console.status(f"reading the images of {split}: {done:,} of {total:,}")

    try:
        return open_data(source, progress=progress)
    except DataError as error:
        raise RefusedError(str(error)) from error


def _open_search(
    config: SearchConfig, folder: ResultsFolder, source: DataSource, data: ImageData, pool: Pool
) -> _Search:
    config = config.resolved(image_size=data.image_size)
    architecture = StudentArchitecture(channels=student_channels(), num_classes=len(data.classes))
    origin = Origin(
        recipe=Recipe(batch_size=config.batch_size, root_epochs=config.root_epochs),
        seed=config.seed,
        data_fingerprint=data.fingerprint,
        root={"channels": architecture.channels, "num_classes": architecture.num_classes},
        device_type=pool.device_type,
    )
    earlier = folder.read() if folder.is_search() else None
    folder.write(describe(config, data, origin, pool, earlier))
    space = SearchSpace(
        rates=config.rates, epochs=config.epochs, lrs=config.lrs, max_rounds=config.max_rounds
    )
    ledger = Ledger(folder.ledger, space)
    store = StageStore(folder.stages)
    return _Search(
        config=config,
        space=space,
        folder=folder,
        plan=WorkerPlan(source=source, architecture=architecture, origin=origin),
        scale=Scale(
            least_params=architecture.params(architecture.channels_at(0)),
            root_params=architecture.params(architecture.channels),
            chance=1 / len(data.classes),
        ),
        ledger=ledger,
        store=store,
        tables=Tables(folder, store, ledger),
    )


def _run(search: _Search, pool: Pool, console: Console) -> None:
    config = search.config
    campaign = Campaign(
        ledger=search.ledger,
        store=search.store,
        space=search.space,
        scale=search.scale,
        new_sampler=lambda draw: make_sampler(
            config.sampler, search.space, search.scale, seed=config.seed, draw=draw
        ),
        trials=config.trials,
        ahead=pool.workers + 1,
    )
    if campaign.finished:
        return
    start_ray(pool)
    writer = start_store(search.folder.stages)
    observer = Observer(
        campaign, search.tables, console, lambda: ray.get(writer.activities.remote())
    )
    interruption = Interruption()

    def on_step() -> None:
        interruption.check()
        observer.show()

    console.line(
        f"{config.trials} trials by {config.sampler} on {pool.workers} worker(s), "
        f"{pool.device_type}; results in {search.folder.path}"
    )
    with interruption.watching():
        run_trials(
            campaign, pool, search.plan, writer, on_stage=observer.on_stage, on_step=on_step
        )
    if campaign.exhausted:
        console.line("Every schedule of the search space was tried.")


def _finish(search: _Search, data: ImageData, console: Console) -> None:
    """Fill in the test accuracy of the front, write the tables, say what was found."""
    members = front(search.store)
    if not members:
        raise SearchError("no network was made")
    if data.test.labelled:
        runner = search.plan.runner()
        for stage in members:
            if stage.test_accuracy is None:
                accuracy = runner.test_accuracy(stage, search.store.weights(stage.id))
                search.store.set_test_accuracy(stage.id, accuracy)
    search.tables.write_front()
    search.tables.write_candidates()
    failed = sum(trial.failed for trial in search.ledger)
    console.line(
        f"Done: {len(search.ledger)} trials ({failed} failed), {len(search.store)} networks, "
        f"{search.store.executed_epochs} epochs; {len(members)} on the front, "
        f"hypervolume {hypervolume(members, search.scale):.4f}."
    )
    console.line(f"The front is in {search.folder.path / 'pareto.csv'}")
