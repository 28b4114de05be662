from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pruning import Round, StageStore
from search.campaign.ledger import REASON, ROUNDS_REACHED, Ledger, open_ledger
from search.errors import LedgerError
from tests.search.landscape import SPACE, grow, rounds

SCHEDULE = (Round(rate=0.9, epochs=2, lr=3e-3), Round(rate=0.5, epochs=1, lr=1e-3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def test_a_proposal_is_whole_on_disk_at_once(path: Path) -> None:
    Ledger(path, SPACE).add(SCHEDULE)
    (trial,) = Ledger(path, SPACE)
    assert (trial.number, trial.schedule, trial.state) == (0, SCHEDULE, TrialState.RUNNING)


def test_endings_are_kept(path: Path) -> None:
    ledger = Ledger(path, SPACE)
    for schedule in (rounds(0.5), rounds(0.7), rounds(0.9), rounds(0.5, 0.5)):
        ledger.add(schedule)
    ledger.complete(1, val_accuracy=0.75, cost=1234)
    ledger.fail(2, "loss nan", rounds_reached=1)
    ledger.stop(3, "fell behind", rounds_reached=1)
    for opened in (ledger, Ledger(path, SPACE)):
        assert [trial.state for trial in opened] == [
            TrialState.RUNNING,
            TrialState.COMPLETE,
            TrialState.FAIL,
            TrialState.PRUNED,
        ]
        assert [trial.running for trial in opened] == [True, False, False, False]
        assert [trial.failed for trial in opened] == [False, False, True, False]
        assert [trial.stopped for trial in opened] == [False, False, False, True]
        assert len(opened) == 4


def test_a_trial_that_is_complete_reaches_the_file_with_the_next(path: Path) -> None:
    ledger = Ledger(path, SPACE)
    ledger.add(SCHEDULE)
    ledger.complete(0, val_accuracy=0.75, cost=1234)
    assert not next(iter(ledger)).running
    assert [trial.running for trial in Ledger(path, SPACE)] == [True]
    ledger.add(SCHEDULE)
    assert [trial.running for trial in Ledger(path, SPACE)] == [False, True]
    ledger.complete(1, val_accuracy=0.5, cost=123)
    ledger.flush()
    ledger.flush()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert [trial.values for trial in study.trials] == [[0.75, 1234.0], [0.5, 123.0]]


def test_any_optuna_tool_reads_it(path: Path) -> None:
    ledger = Ledger(path, SPACE)
    for _ in range(3):
        ledger.add(SCHEDULE)
    ledger.complete(0, val_accuracy=0.75, cost=1234)
    ledger.fail(1, "loss nan", rounds_reached=-1)
    ledger.stop(2, "fell behind", rounds_reached=1)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    complete, failed, stopped = study.trials
    assert complete.params == {
        "rounds": 2,
        "rate_1": 0.9,
        "epochs_1": 2,
        "lr_1": 3e-3,
        "rate_2": 0.5,
        "epochs_2": 1,
        "lr_2": 1e-3,
    }
    assert complete.values == [0.75, 1234.0]
    assert failed.user_attrs[REASON] == "loss nan"
    assert stopped.state is TrialState.PRUNED
    assert stopped.values is None
    assert stopped.user_attrs == {REASON: "fell behind", ROUNDS_REACHED: 1}
    assert study.directions == [
        optuna.study.StudyDirection.MAXIMIZE,
        optuna.study.StudyDirection.MINIMIZE,
    ]
    assert study.metric_names == ["val_accuracy", "params"]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("allocation", ("uniform", "global")),
        ("allocation", ("global",)),
        ("start", ("inherit", "fresh")),
    ],
)
def test_what_is_not_usual_is_kept(path: Path, name: str, choices: tuple[str, ...]) -> None:
    space = replace(SPACE, **{f"{name}s": choices})
    schedule = tuple(replace(round_, **{name: choices[-1]}) for round_ in SCHEDULE)
    Ledger(path, space).add(schedule)
    assert [trial.schedule for trial in Ledger(path, space)] == [schedule]
    (row,) = optuna.load_study(study_name=None, storage=f"sqlite:///{path}").trials
    assert row.params[f"{name}_1"] == row.params[f"{name}_2"] == choices[-1]


def test_telling_twice_changes_nothing(path: Path) -> None:
    ledger = Ledger(path, SPACE)
    ledger.add(SCHEDULE)
    ledger.complete(0, val_accuracy=0.75, cost=1234)
    ledger.complete(0, val_accuracy=0.25, cost=1)
    ledger.flush()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert study.trials[0].values == [0.75, 1234.0]


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a b#c", "é"])
def test_any_folder_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    Ledger(folder / "study.db", SPACE).add(SCHEDULE)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(Ledger(folder / "study.db", SPACE)) == 1


def test_a_file_that_is_no_ledger_is_an_error(path: Path) -> None:
    path.write_bytes(b"not a database, but longer than a page's header " * 9)
    with pytest.raises(LedgerError, match=r"study\.db cannot be used.*Move it away"):
        Ledger(path, SPACE)


def test_a_lost_ledger_is_restored_from_the_stages(path: Path, store: StageStore) -> None:
    """Each trial's schedule is that of the last stage it had trained, and its number the same."""
    grow(store, rounds(0.5, 0.7), trial=0)
    grow(store, rounds(0.5, 0.9), trial=2)
    for ledger in (open_ledger(path, SPACE, store), Ledger(path, SPACE)):
        assert [trial.schedule for trial in ledger] == [rounds(0.5, 0.7), (), rounds(0.5, 0.9)]
        assert [trial.number for trial in ledger] == [0, 1, 2]
        assert [trial.state for trial in ledger] == [
            TrialState.COMPLETE,
            TrialState.PRUNED,
            TrialState.COMPLETE,
        ]
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == ["study.db"]


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_ledger_goes_on_after_it_was_restored(
    path: Path, store: StageStore, content: bytes | None
) -> None:
    grow(store, rounds(0.5, 0.7), trial=1)
    if content is not None:
        path.write_bytes(content)
    ledger = open_ledger(path, SPACE, store)
    assert ledger.add(SCHEDULE).number == 2
    again = open_ledger(path, SPACE, store)
    assert [trial.schedule for trial in again] == [(), rounds(0.5, 0.7), SCHEDULE]


def test_a_ledger_that_cannot_be_put_in_place_is_not_there_in_part(
    path: Path, store: StageStore
) -> None:
    grow(store, rounds(0.5, 0.7), trial=1)
    obstacle = path.with_name(f".unfinished-{path.name}")
    obstacle.mkdir()
    with pytest.raises(OSError, match="unfinished"):
        open_ledger(path, SPACE, store)
    assert len(Ledger(path, SPACE)) == 0
    obstacle.rmdir()
    assert len(open_ledger(path, SPACE, store)) == 2


def test_a_row_that_is_no_trial_of_the_search_is_an_error(path: Path) -> None:
    Ledger(path, SPACE).add(SCHEDULE)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    study.enqueue_trial({"rounds": 1})
    with pytest.raises(LedgerError, match=r"study\.db: row 1 \(WAITING\) is no trial"):
        Ledger(path, SPACE)
