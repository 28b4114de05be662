"""The store actor as a plain object; with Ray it runs in tests/search/test_command.py."""

from dataclasses import replace
from pathlib import Path

import pytest

from pruning import Round, Schedule, StageStore
from search.workers.store_actor import Activity, StoreActor, Task
from tests.search.landscape import draft, rounds

HALF = rounds(0.5)


@pytest.fixture
def actor(tmp_path: Path) -> StoreActor:
    return StoreActor(tmp_path / "stages")


def step(actor: StoreActor, trial: int, schedule: Schedule) -> str:
    return actor.next_task(trial, schedule).step


def test_a_missing_stage_is_trained_by_one_trial(actor: StoreActor) -> None:
    train, wait = (Task(reached=None, step=step) for step in ("train", "wait"))
    assert actor.next_task(0, HALF) == train
    assert actor.next_task(1, HALF) == wait
    assert actor.next_task(0, HALF) == train  # its worker died, and it asks again
    root = actor.commit(0, draft(()), b"weights")
    assert actor.next_task(1, HALF) == Task(reached=root, step="train", weights=b"weights")
    assert actor.next_task(0, HALF) == Task(reached=root, step="wait")


def test_the_stages_of_a_schedule_that_exist_are_passed(actor: StoreActor) -> None:
    schedule = rounds(0.5, 0.7)
    actor.commit(0, draft(()), b"root")
    half = actor.commit(0, draft(HALF), b"half")
    assert actor.next_task(1, schedule) == Task(reached=half, step="train", weights=b"half")
    last = actor.commit(1, draft(schedule), b"last")
    assert actor.next_task(2, schedule) == Task(reached=last, step="done")
    assert actor.next_task(2, HALF) == Task(reached=half, step="done")


def test_different_rounds_are_claimed_apart(actor: StoreActor) -> None:
    actor.commit(0, draft(()), b"weights")
    assert step(actor, 1, HALF) == "train"
    assert step(actor, 2, rounds(0.7)) == "train"


def test_the_claims_of_a_trial_that_ended_are_free(actor: StoreActor) -> None:
    assert step(actor, 0, HALF) == "train"
    actor.release(0)
    assert step(actor, 1, HALF) == "train"


def test_a_dismissed_trial_has_nothing_more_to_do(actor: StoreActor) -> None:
    assert step(actor, 0, HALF) == "train"
    actor.dismiss(0)
    assert step(actor, 0, HALF) == "over"
    assert step(actor, 1, HALF) == "train"


def test_activities_last_until_the_commit(actor: StoreActor) -> None:
    actor.report(0, Activity(round=0, epoch=1, epochs=5, accuracy=0.5))
    assert actor.activities() == {0: Activity(round=0, epoch=1, epochs=5, accuracy=0.5)}
    actor.commit(0, draft(()), b"weights")
    assert actor.activities() == {}


def test_it_clears_away_what_a_killed_writer_left(tmp_path: Path) -> None:
    folder = tmp_path / "stages"
    StageStore(folder).commit(draft(()), b"weights", trial=0)
    (folder / ".unfinished-abc").mkdir()
    StoreActor(folder)
    assert len(list(folder.iterdir())) == 1


def test_no_round_is_started_that_would_pass_the_epochs(tmp_path: Path) -> None:
    actor = StoreActor(tmp_path / "stages", max_epochs=3)
    assert step(actor, 0, ()) == "train"  # the root counts 0
    actor.commit(0, draft(()), b"")
    two, one, other = (Round(rate=0.5, epochs=n, lr=1e-3) for n in (2, 1, 4))
    wide = Round(rate=0.7, epochs=2, lr=1e-3)
    assert step(actor, 1, (two,)) == "train"
    assert step(actor, 2, (wide,)) == "wait"
    assert step(actor, 3, (one,)) == "train"
    assert step(actor, 3, (other,)) == "over"
    actor.release(3)  # a claim that came to nothing frees its epochs
    actor.commit(1, draft((two,)), b"")
    assert step(actor, 2, (wide,)) == "over"
    assert step(actor, 4, (two, one)) == "train"
    assert step(actor, 5, (two,)) == "done"


def test_a_damaged_stage_is_trained_again_by_whoever_needs_it(
    tmp_path: Path, actor: StoreActor
) -> None:
    root = actor.commit(0, draft(()), b"weights")
    (tmp_path / "stages" / root.id / "model.safetensors").write_bytes(b"weighTs")
    assert actor.next_task(1, HALF) == Task(reached=None, step="train")
    again = actor.commit(1, draft(()), b"weights")
    assert again.trial == 1
    assert actor.next_task(1, HALF) == Task(reached=again, step="train", weights=b"weights")


def test_a_trial_that_finds_its_parent_damaged_can_train_it_within_the_epochs(
    tmp_path: Path,
) -> None:
    """Its claim on the child must not take the epochs that the parent needs."""
    actor = StoreActor(tmp_path / "stages", max_epochs=5)
    root = actor.commit(0, draft(()), b"weights")
    one, four = (Round(rate=0.5, epochs=n, lr=1e-3) for n in (1, 4))
    parent = actor.commit(0, draft((one,)), b"weights")
    (tmp_path / "stages" / parent.id / "model.safetensors").write_bytes(b"weighTs")
    schedule = (one, four)
    assert actor.next_task(1, schedule) == Task(reached=root, step="train", weights=b"weights")


def test_a_closed_store_starts_no_round_and_accepts_those_that_run(actor: StoreActor) -> None:
    actor.commit(0, draft(()), b"")
    assert step(actor, 1, HALF) == "train"
    actor.close()
    assert step(actor, 2, rounds(0.7)) == "over"
    assert step(actor, 2, HALF) == "wait"
    actor.commit(1, draft(HALF), b"")
    assert step(actor, 2, HALF) == "done"


def test_neither_the_end_nor_the_epochs_of_a_search_keep_repeats_back(tmp_path: Path) -> None:
    actor = StoreActor(tmp_path / "stages", max_epochs=1)
    actor.commit(0, draft(()), b"weights")
    actor.commit(0, draft(HALF), b"weights")
    actor.close()
    assert step(actor, 1, rounds(0.7)) == "over"
    repeat = (replace(HALF[0], replicate=1),)
    assert step(actor, 2, repeat) == "train"
    assert step(actor, 3, repeat) == "wait"
    actor.commit(2, draft(repeat), b"weights")
    assert step(actor, 3, repeat) == "done"
