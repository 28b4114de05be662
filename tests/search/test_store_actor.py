"""The store actor as a plain object; with Ray it runs in tests/search/test_command.py."""

from pathlib import Path

import pytest

from pruning import Round, StageStore
from search.store_actor import Activity, StoreActor
from tests.search.landscape import draft, rounds

(ROUND,) = rounds(0.5)


@pytest.fixture
def actor(tmp_path: Path) -> StoreActor:
    return StoreActor(tmp_path / "stages")


def test_a_missing_stage_is_trained_by_one_trial(actor: StoreActor) -> None:
    assert actor.request(0, None, None) == "train"
    assert actor.request(1, None, None) == "wait"
    assert actor.request(0, None, None) == "train"  # its worker died, and it asks again
    root = actor.commit(0, draft(()), b"weights")
    assert actor.request(1, None, None) == root
    assert actor.weights(1, root.id) == b"weights"


def test_different_rounds_are_claimed_apart(actor: StoreActor) -> None:
    root = actor.commit(0, draft(()), b"weights")
    assert actor.request(1, root.id, ROUND) == "train"
    assert actor.request(2, root.id, rounds(0.7)[0]) == "train"


def test_the_claims_of_a_trial_that_ended_are_free(actor: StoreActor) -> None:
    assert actor.request(0, None, None) == "train"
    actor.release(0)
    assert actor.request(1, None, None) == "train"


def test_activities_last_until_the_commit(actor: StoreActor) -> None:
    actor.report(0, Activity(round=0, epoch=1, epochs=5))
    assert actor.activities() == {0: Activity(round=0, epoch=1, epochs=5)}
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
    assert actor.request(0, None, None) == "train"  # the root counts 0
    root = actor.commit(0, draft(()), b"")
    two, one, other = (Round(rate=0.5, epochs=n, lr=1e-3) for n in (2, 1, 4))
    assert actor.request(1, root.id, two) == "train"
    assert actor.request(2, root.id, Round(rate=0.7, epochs=2, lr=1e-3)) == "wait"
    assert actor.request(3, root.id, one) == "train"
    assert actor.request(3, root.id, other) == "over"
    actor.release(3)  # a claim that came to nothing frees its epochs
    done = actor.commit(1, draft((two,)), b"")
    assert actor.request(2, root.id, Round(rate=0.7, epochs=2, lr=1e-3)) == "over"
    assert actor.request(4, done.id, one) == "train"
    assert actor.request(5, root.id, two) == done


def test_damaged_weights_make_a_stage_missing(tmp_path: Path, actor: StoreActor) -> None:
    root = actor.commit(0, draft(()), b"weights")
    (tmp_path / "stages" / root.id / "model.safetensors").write_bytes(b"weighTs")
    assert actor.request(1, root.id, ROUND) == "train"
    assert actor.weights(1, root.id) is None
    assert actor.request(1, None, None) == "train"
    assert actor.commit(1, draft(()), b"weights").trial == 1
    assert actor.weights(1, root.id) == b"weights"


def test_a_trial_that_finds_its_parent_damaged_can_train_it_within_the_epochs(
    tmp_path: Path,
) -> None:
    """Its claim on the child must not take the epochs that the parent needs."""
    actor = StoreActor(tmp_path / "stages", max_epochs=5)
    root = actor.commit(0, draft(()), b"")
    one, four = (Round(rate=0.5, epochs=n, lr=1e-3) for n in (1, 4))
    parent = actor.commit(0, draft((one,)), b"weights")
    actor.commit(0, draft((Round(rate=0.7, epochs=0, lr=1e-3),)), b"")
    assert actor.request(1, parent.id, four) == "train"
    (tmp_path / "stages" / parent.id / "model.safetensors").write_bytes(b"weighTs")
    assert actor.weights(1, parent.id) is None
    assert actor.request(1, root.id, one) == "train"


def test_a_closed_store_starts_no_round_and_accepts_those_that_run(actor: StoreActor) -> None:
    root = actor.commit(0, draft(()), b"")
    (other,) = rounds(0.7)
    assert actor.request(1, root.id, ROUND) == "train"
    actor.close()
    assert actor.request(2, root.id, other) == "over"
    assert actor.request(2, root.id, ROUND) == "wait"
    done = actor.commit(1, draft((ROUND,)), b"")
    assert actor.request(2, root.id, ROUND) == done
