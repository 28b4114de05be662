"""SIGKILL at every write, fsync, rename, ledger transaction and table of a search."""

from pathlib import Path

import pytest

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.kept import from_record
from search.results.folder import ResultsFolder
from tests.command import SMALL, Command, states
from tests.faults.conftest import Faulty
from tests.faults.invariants import assert_whole

TRIALS = 3

# (function, the turns at which to strike); each before and after.
DRIVERS = [
    ("search.results.folder:ResultsFolder.write", (1, 2)),
    ("search.results.folder:ResultsFolder.put", (1, 2, 3)),
    ("search.campaign.ledger:Ledger.__init__", (1,)),
    ("search.campaign.ledger:Ledger.add", (1, 2)),
    ("search.campaign.ledger:Ledger.complete", (1, 3)),
    ("search.campaign.campaign:Campaign.accept", (1, 2)),
    ("pruning.durable:write_synced", (1, 2, 3)),
    ("pruning.durable:sync_folder", (1, 2)),
    ("pruning.store:StageStore.set_test_accuracy", (1,)),
]
# In the store's process; the driver is killed at that moment.
WRITERS = [
    ("pruning.store:write_synced", (1, 2, 3, 4)),
    ("pruning.store:sync_folder", (1, 2, 3, 4)),
    ("pruning.store:StageStore.commit", (1, 2)),
]
QUICK = {"pruning.store:write_synced:after:3:driver"}


def failpoints() -> list[object]:
    named = [
        f"{function}:{side}:{turn}:driver"
        for function, turns in DRIVERS + WRITERS
        for turn in turns
        for side in ("before", "after")
    ]
    return [
        pytest.param(fault, marks=() if fault in QUICK else pytest.mark.slow) for fault in named
    ]


@pytest.mark.parametrize("fault", failpoints())
def test_a_search_killed_at_a_failpoint_is_finished_as_if_nothing_had_been(
    command: Command, faulty: Faulty, fault: str
) -> None:
    arguments = (*SMALL, "--trials", str(TRIALS), "--out", "out")
    killed = faulty(fault)(*arguments)
    assert killed.returncode == -9, f"not reached: {killed.stdout} {killed.stderr}"
    started = (command.folder / "out" / "search.json").exists()
    done = command("--resume", "out") if started else command(*arguments)
    assert done.returncode == 0, done.stderr
    assert_whole(command.folder / "out", TRIALS)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("pruning.runner:RoundRunner.child:before:2:self", marks=pytest.mark.slow),
        pytest.param("pruning.runner:RoundRunner.child:after:2:self", marks=pytest.mark.slow),
        pytest.param(
            "pruning.runner:RoundRunner.child:before:2:torch.AcceleratorError",
            marks=pytest.mark.slow,
        ),
        pytest.param("pruning.store:write_synced:before:4:self", marks=pytest.mark.slow),
        pytest.param("pruning.store:StageStore.commit:after:2:self", marks=pytest.mark.slow),
    ],
)
def test_workers_and_stores_that_die_are_replaced_within_a_run(faulty: Faulty, fault: str) -> None:
    """Every process of a kind dies at its second round, and still the search gets through."""
    command = faulty(fault)
    done = command(*SMALL, "--trials", str(TRIALS), "--out", "out")
    assert done.returncode == 0, done.stderr
    assert_whole(command.folder / "out", TRIALS)


@pytest.mark.slow
def test_a_round_without_memory_fails_its_trial_alone(faulty: Faulty) -> None:
    """The round is not tried again, and its parent goes on to have children."""
    command = faulty("pruning.runner:RoundRunner.child:before:2:builtins.MemoryError")
    out = command.folder / "out"
    done = command(*SMALL, "--workers", "1", "--trials", "6", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "1 failed: out of memory" in done.stdout
    space = from_record(ResultsFolder(out).read()["config"]).space()
    trials = list(Ledger(out / "study.db", space))
    (failed,) = [trial for trial in trials if trial.failed]
    assert failed.reason == "out of memory"
    others = [trial for trial in trials if trial is not failed]
    assert len(others) == 5
    assert failed.schedule not in [trial.schedule for trial in others]
    store = StageStore(out / "stages")
    assert {trial.schedule for trial in others} <= {stage.schedule for stage in store}
    assert failed.schedule not in [stage.schedule for stage in store]


_NO_START = "search.workers.worker:WorkerPlan.runner:before:1:torch.OutOfMemoryError"


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_replaced(faulty: Faulty, tmp_path: Path) -> None:
    """Its trial is the next one's."""
    once = tmp_path / "once"
    done = faulty(_NO_START, FAULT_ONCE=str(once))(*SMALL, "--trials", str(TRIALS), "--out", "out")
    assert done.returncode == 0, done.stderr
    assert once.exists()
    assert done.stdout.count("A worker could not start, and is replaced") == 1
    assert_whole(tmp_path / "out", TRIALS)


@pytest.mark.slow
def test_a_run_ends_when_no_worker_can_start(
    command: Command, faulty: Faulty, tmp_path: Path
) -> None:
    """Its trials have not failed."""
    arguments = (*SMALL, "--trials", str(TRIALS), "--out", "out")
    done = faulty(_NO_START)(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("no worker can start")
    assert "a fault of a test" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert_whole(tmp_path / "out", TRIALS)


_DEATH = "pruning.runner:RoundRunner.child:before:1:self"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            "search.campaign.campaign:Campaign.accept:before:2:pruning.StoreError",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "search.campaign.campaign:Campaign.accept:before:2:builtins.OSError",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "search.campaign.ledger:Ledger.add:before:2:search.errors.LedgerError",
            marks=pytest.mark.slow,
        ),
        "search.campaign.ledger:Ledger.complete:before:1:search.errors.LedgerError",
        pytest.param(
            f"{_DEATH} search.campaign.campaign:Campaign.retry:before:1:search.errors.LedgerError",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pruning.store:StageStore.set_test_accuracy:before:1:pruning.StoreError",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_driver_whose_files_fail_ends_in_words_and_goes_on(
    command: Command, faulty: Faulty, fault: str
) -> None:
    done = faulty(fault)(*SMALL, "--trials", str(TRIALS), "--out", "out")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("a fault of a test")
    assert "--resume out" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert_whole(command.folder / "out", TRIALS)


@pytest.mark.slow
def test_workers_that_die_at_every_round_end_a_run_with_a_diagnosis(faulty: Faulty) -> None:
    command = faulty("pruning.runner:RoundRunner.root:before:1:self")
    done = command(*SMALL, "--workers", "1", "--trials", "50", "--out", "out", timeout=600)
    assert done.returncode == 2
    assert "5 trials in a row failed" in done.stderr
    assert "worker died: 4 times" in done.stderr
    assert len(states(command.folder / "out")) < 10
