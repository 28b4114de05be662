import pytest

from search.workers.crew import Crew


@pytest.fixture
def crew() -> Crew:
    """Two workers at work, and a trial that waits."""
    crew = Crew(2)
    for trial_id in ("first", "second", "third"):
        crew.wait(trial_id)
    for trial_id in ("first", "second"):
        crew.start(trial_id)
    return crew


def test_all_workers_are_missing_before_they_start() -> None:
    crew = Crew(2)
    assert crew.missing == 2
    crew.wait("first")
    assert not crew.handing_over
    crew.start("first")
    assert crew.missing == 1


def test_a_waiting_trial_is_one_to_spare_until_a_worker_is_free_for_it(crew: Crew) -> None:
    assert crew.has_trial_to_spare
    crew.leave("first")
    assert crew.handing_over
    assert not crew.has_trial_to_spare
    assert crew.missing == 0
    crew.start("third")
    assert not crew.handing_over
    assert not crew.has_trial_to_spare


def test_a_missing_worker_keeps_a_trial(crew: Crew) -> None:
    crew.lose("first")
    assert crew.missing == 1
    assert not crew.has_trial_to_spare
    crew.wait("first again")
    assert crew.has_trial_to_spare
    crew.start("third")  # by the new worker
    assert crew.missing == 0
    assert crew.has_trial_to_spare


def test_a_worker_that_dies_while_it_is_given_a_trial_is_free_no_more(crew: Crew) -> None:
    crew.leave("first")
    crew.lose("third")
    assert crew.missing == 1
    assert not crew.handing_over


def test_workers_cannot_start_when_many_in_a_row_died_in_their_start(crew: Crew) -> None:
    for start in range(8):
        assert not crew.cannot_start
        crew.wait(f"start {start}")
        crew.lose(f"start {start}")
    assert crew.cannot_start
    crew.lose("first")
    assert crew.cannot_start
    crew.start("third")
    assert not crew.cannot_start


def test_a_worker_that_dies_in_its_start_was_missing_and_is(crew: Crew) -> None:
    crew.lose("first")
    crew.lose("third")
    assert crew.missing == 1
