"""What TensorBoard and MLflow keep of a search, as their own libraries read it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.kept import to_record
from search.results.folder import ResultsFolder
from search.watch.listening import listening
from tests.command import SMALL, Command, wait_for_output
from tests.search.watch.following import follow

CONFIG = SearchConfig(mlflow=True, cost="macs", max_epochs=70)
STARTED = "2026-01-02T03:04:05+00:00"
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path)
    folder.write({"config": to_record(CONFIG), "started": STARTED})
    return folder


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow as it is without settings of its own: its store lies in the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("mlflow"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")


def interrupted(folder: ResultsFolder, store: StageStore, ledger: Ledger) -> None:
    with listening(CONFIG, folder, pytest.fail) as events:
        follow(folder.path, store, ledger, events, trials=2)
        raise KeyboardInterrupt


def runs(mlflow: Any) -> list[Any]:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("pruning-schedule-search")
    return list(client.search_runs([experiment.experiment_id]))


def test_tensorboard_reads_what_happens(
    folder: ResultsFolder, store: StageStore, ledger: Ledger
) -> None:
    """Over executed epochs, from one event file a run."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    config = SearchConfig(tensorboard=True, cost="macs")
    for trials in (2, 4):
        with listening(config, folder, print) as events:
            campaign = follow(folder.path, store, ledger, events, trials=trials)
        for file in folder.path.glob("tensorboard/*tfevents*"):
            file.rename(file.with_name(f"{file.name}.{trials}"))  # both are of this process
    assert len(list(folder.path.glob("tensorboard/*tfevents*"))) == 2
    read = accumulator.EventAccumulator(str(folder.path / "tensorboard"))
    first = [accumulator.EventAccumulator(str(file)) for file in folder.path.glob("tensorboard/*")]
    for one in (read, *first):
        one.Reload()
    assert set(first[0].Tags()["scalars"]) == {
        "network/val_accuracy", "network/macs", "search/hypervolume", "search/networks",
        "search/front",
    }  # fmt: skip

    def points(name: str) -> set[tuple[int, float]]:
        return {(point.step, point.value) for one in first for point in one.Scalars(name)}

    assert points("network/macs") == {(stage.executed_epochs, stage.macs) for stage in store}
    accuracies = dict(points("network/val_accuracy"))
    assert accuracies == {
        stage.executed_epochs: pytest.approx(stage.val_accuracy) for stage in store
    }
    progress = campaign.progress()
    assert dict(points("search/hypervolume"))[progress.executed_epochs] == pytest.approx(
        progress.hypervolume
    )
    assert dict(points("search/networks"))[progress.executed_epochs] == len(store)


def test_a_search_is_one_run_of_mlflow_s(
    folder: ResultsFolder, store: StageStore, ledger: Ledger, mlflow: Any, tmp_path: Path
) -> None:
    """Also when it is resumed with other budgets, and beside one of the same start elsewhere."""
    client = mlflow.MlflowClient()
    with pytest.raises(KeyboardInterrupt):
        interrupted(folder, store, ledger)
    (run,) = runs(mlflow)
    assert run.info.status == "KILLED"
    folder.write({**folder.read(), "config": to_record(SearchConfig(max_epochs=90))})
    with listening(CONFIG, folder, pytest.fail) as events:
        campaign = follow(folder.path, store, ledger, events, trials=4)
        for name in ("pareto.csv", "candidates.csv", "report.html"):
            folder.put(name, name)
    (run,) = runs(mlflow)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == tmp_path.name
    assert run.data.params["max_epochs"] == "70"
    assert run.data.params["rates"] == str(list(CONFIG.rates))
    assert "checkpoint" not in run.data.params

    def points(name: str) -> set[tuple[int, float]]:
        history = client.get_metric_history(run.info.run_id, name)
        return {(point.step, point.value) for point in history}

    for name, attribute in (("network/val_accuracy", "val_accuracy"), ("network/macs", "macs")):
        made = {(stage.executed_epochs, getattr(stage, attribute)) for stage in store}
        assert points(name) == made
    progress = campaign.progress()
    assert (progress.executed_epochs, progress.hypervolume) in points("search/hypervolume")
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"pareto.csv", "candidates.csv", "report.html"}

    elsewhere = ResultsFolder(tmp_path / "it's")
    elsewhere.path.mkdir()
    elsewhere.write(folder.read())
    with listening(CONFIG, elsewhere, pytest.fail) as events:
        events.add("start")
    assert len(runs(mlflow)) == 2


def test_a_store_that_is_lost_is_said_once_and_ends_nothing(
    folder: ResultsFolder, mlflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mlflow.MlflowClient().search_experiments()  # makes the store
    shutil.copy("mlflow.db", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    said: list[str] = []
    with listening(CONFIG, folder, said.append) as events:
        (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
        for _ in range(3):
            events.add("start")
    (line,) = said
    assert line.startswith("Nothing more is kept for --mlflow: ")


@pytest.mark.slow
def test_a_killed_search_goes_on_in_its_trackers(
    command: Command, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command line; neither flag is kept."""
    multiplexer = pytest.importorskip(
        "tensorboard.backend.event_processing.event_multiplexer",
        reason="tensorboard is not installed",
    )
    trackers = ("--tensorboard", "--mlflow")
    process = command.start(*SMALL, "--trials", "6", "--out", "out", *trackers)
    wait_for_output(process, "root:")
    time.sleep(1)
    process.kill()
    process.communicate()
    done = command("--resume", "out", *trackers)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Nothing more is kept" not in done.stdout
    search = json.loads((command.folder / "out" / "search.json").read_text())
    assert not {"tensorboard", "mlflow"} & search["config"].keys()
    monkeypatch.chdir(command.folder)
    (run,) = runs(mlflow)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["search/networks"] == 7
    kept = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert kept == {"pareto.csv", "candidates.csv", "report.html"}
    read = multiplexer.EventMultiplexer().AddRunsFromDirectory("out/tensorboard")
    read.Reload()
    assert read.Scalars(".", "search/networks")[-1].value == 7


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "./files", "nonsense://here"])
def test_a_store_that_does_not_answer_is_refused(
    folder: ResultsFolder, mlflow: Any, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with (
        pytest.raises(RefusedError, match=r"--mlflow: .*\n.*MLFLOW_TRACKING_URI") as caught,
        listening(SearchConfig(mlflow=True), folder, pytest.fail),
    ):
        pass
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("config", "module", "package"),
    [
        (SearchConfig(tensorboard=True), "torch.utils.tensorboard", "tensorboard"),
        (SearchConfig(mlflow=True), "mlflow", "mlflow-skinny"),
    ],
)
def test_a_missing_package_is_refused(
    folder: ResultsFolder,
    monkeypatch: pytest.MonkeyPatch,
    config: SearchConfig,
    module: str,
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with (
        pytest.raises(RefusedError, match=rf"\n.*pip install {package}, ") as caught,
        listening(config, folder, pytest.fail),
    ):
        pass
    assert len(str(caught.value).splitlines()) == 2


def test_trackers_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import search.command, search.watch.listening, sys\n"
        "print(*({'mlflow', 'tensorboard', 'torch.utils.tensorboard'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split() == []
