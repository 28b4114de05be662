"""A search as a run of MLflow's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models import first_line
from search.errors import RefusedError, missing_package
from search.results.folder import ResultsFolder
from search.watch.events import Event
from search.watch.scalars import Scalars

_EXPERIMENT = "pruning-schedule-search"
_AT_THE_START = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STATUS = {"done": "FINISHED", "KeyboardInterrupt": "KILLED"}
_ARTIFACTS = ("pareto.csv", "candidates.csv", "report.html")


class Tracker:
    """Keeps a search in MLflow: its configuration, numbers over executed epochs, and its results.

    MLflow finds its store as it always does: at MLFLOW_TRACKING_URI, or else in mlflow.db of the
    current folder. The experiment may be named by MLFLOW_EXPERIMENT_NAME. A search is one run in
    it, which is known by the search's folder and start; so a resumed search goes on with its run.
    The parameters of a run cannot change: budgets stay there as they were first given.

    Args:
        folder: Of the search; a search must live there when the first event is heard.
        scalars: What is plotted.

    Raises:
        RefusedError: The package is missing, or the store does not answer.
    """

    flag = "--mlflow"

    def __init__(self, folder: ResultsFolder, scalars: Scalars) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow
        except ImportError as error:
            raise missing_package(self.flag, "mlflow-skinny", error) from error
        self._folder = folder
        self._scalars = scalars
        self._run: str | None = None
        try:
            with _somebody_waits():
                name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
                self._experiment = mlflow.set_experiment(name).experiment_id
                self._client = mlflow.MlflowClient()
        except Exception as error:  # those of its databases and servers, too
            raise RefusedError(
                f"--mlflow: {first_line(error)}\n"
                "Set MLFLOW_TRACKING_URI to a store that answers, or leave the flag out."
            ) from error

    def hear(self, event: Event) -> None:
        """Send what an event has to plot, and with the last one the results."""
        from mlflow.entities import Metric

        if event.name == "end":
            self._end(event.fields["reason"])
            return
        if self._run is None:
            self._run = self._open()
        at = round(event.time.timestamp() * 1000)
        metrics = [
            Metric(name, number, at, event.fields["executed_epochs"])
            for name, number in self._scalars.of(event).items()
        ]
        if metrics:
            self._client.log_batch(self._run, metrics=metrics)

    def _open(self) -> str:
        """The id of the search's run, which is made if there is none yet."""
        from mlflow.entities import Param

        search = self._folder.read()
        path, started = str(self._folder.path.absolute()), search["started"]
        runs = self._client.search_runs([self._experiment], f"tags.started = '{started}'")
        mine = [run for run in runs if run.data.tags.get("folder") == path] or [
            self._client.create_run(
                self._experiment,
                run_name=self._folder.path.name,
                tags={"folder": path, "started": started},
            )
        ]
        run: Any = mine[0]
        missing = [
            Param(name, str(value))
            for name, value in search["config"].items()
            if value is not None and name not in run.data.params
        ]
        self._client.log_batch(run.info.run_id, params=missing)
        self._client.update_run(run.info.run_id, status="RUNNING")
        return str(run.info.run_id)

    def _end(self, reason: str) -> None:
        if self._run is None:
            return  # nothing has happened
        for name in _ARTIFACTS:
            if (path := self._folder.path / name).exists():
                self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, _STATUS.get(reason, "FAILED"))


@contextmanager
def _somebody_waits() -> Iterator[None]:
    """Have MLflow say soon that a server does not answer; later on it may try for minutes."""
    ours = {name: text for name, text in _AT_THE_START.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
