import time

import pytest

from search.results.throttle import Throttle


@pytest.mark.parametrize(
    ("took", "rest", "wait"),
    [(2.0, 0.0, 40.0), (0.0, 60.0, 60.0), (2.0, 60.0, 60.0), (30.0, 60.0, 600.0)],
)
def test_what_is_done_takes_no_more_than_its_share(
    monkeypatch: pytest.MonkeyPatch, took: float, rest: float, wait: float
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    throttle = Throttle(0.05, rest)
    assert throttle.due
    with throttle.doing():
        now += took
    end = now
    now = end + wait - 0.5
    assert not throttle.due
    now = end + wait
    assert throttle.due


def test_what_fails_takes_its_time_too() -> None:
    throttle = Throttle(0.5, 60.0)
    with pytest.raises(ValueError, match="no"), throttle.doing():
        raise ValueError("no")
    assert not throttle.due
