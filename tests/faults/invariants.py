"""What must hold of a search that was finished after whatever happened to it."""

from pathlib import Path

from optuna.trial import TrialState

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.kept import from_record
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv, pareto_csv
from tests.command import states


def assert_whole(folder: Path, trials: int, *, damaged: bool = False) -> None:
    """A finished search of `trials` trials, none of them failed or stopped.

    Args:
        folder: The search's.
        trials: How many were asked for.
        damaged: Whether stages were damaged on purpose, and so trained again.
    """
    assert states(folder) == [TrialState.COMPLETE] * trials
    assert not list(folder.rglob(".unfinished-*"))
    config = from_record(ResultsFolder(folder).read()["config"])
    space = config.space()
    store = StageStore(folder / "stages")
    for stage in store:
        store.weights(stage.id)
    for trial in Ledger(folder / "study.db", space):
        assert len(store.path(trial.schedule)) == len(trial.schedule) + 1
    assert (folder / "candidates.csv").read_text() == candidates_csv(store)
    assert (folder / "pareto.csv").read_text() == pareto_csv(store)
    if not damaged:
        assert store.executed_epochs == sum(stage.epochs for stage in store)
        assert len({stage.executed_epochs for stage in store if stage.epochs}) == sum(
            1 for stage in store if stage.epochs
        )
