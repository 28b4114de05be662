from typing import Any

import pytest

from experiments.orchestration.simulated_clock import Clock, Server
from experiments.orchestration.simulated_ray import Answer, RayCosts, SimulatedRay

COSTS = RayCosts(call=1.0, get=2.0, wait=4.0)
SLACK = 0.5  # seconds that the test's own steps may take


class Worker:
    """Answers after ten seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def train(self, answer: Answer) -> None:
        self._clock.after(10, lambda: answer.give("trained"))

    def reset(self, config: dict[str, Any]) -> None: ...

    def stop(self) -> None: ...


def test_events_happen_in_their_order_and_at_their_times() -> None:
    clock = Clock()
    seen: list[tuple[str, float]] = []
    clock.after(30, lambda: seen.append(("late", clock.time)))
    clock.after(20, lambda: clock.after(5, lambda: seen.append(("early", clock.time))))
    clock.wait(lambda: False, 100)
    assert [name for name, _ in seen] == ["early", "late"]
    assert [at for _, at in seen] == pytest.approx([25, 30], abs=SLACK)
    assert clock.now == pytest.approx(100, abs=SLACK)
    assert clock.busy == 0


def test_whoever_waits_goes_on_when_what_it_waits_for_is_there() -> None:
    clock, answer = Clock(), Answer()
    clock.after(7, lambda: answer.give(1))
    clock.after(8, lambda: pytest.fail("it has not happened yet"))
    clock.wait(lambda: answer.there, 100)
    assert clock.now == pytest.approx(7, abs=SLACK)


def test_a_server_does_one_thing_after_the_other() -> None:
    clock = Clock()
    server = Server(clock, call=3.0)
    answered: list[float] = []
    for _ in range(2):
        server.ask(lambda: None, lambda _: answered.append(clock.time))
    clock.wait(lambda: len(answered) == 2, 100)
    assert answered == pytest.approx([6, 9], abs=SLACK)  # the answer takes a call's time, too
    assert server.busy == pytest.approx(6, abs=SLACK)
    assert server.served == 2


def test_what_ray_costs_is_the_drivers_time_and_what_workers_do_is_not() -> None:
    clock = Clock()
    simulated = SimulatedRay(clock, COSTS, lambda _: Worker(clock), start_seconds=50)
    handles = [simulated.remote(config={}) for _ in range(2)]
    assert clock.now == pytest.approx(2, abs=SLACK)
    first, second = (handle.train.remote() for handle in handles)
    assert clock.now == pytest.approx(4, abs=SLACK)
    there, _ = simulated.wait([first, second], num_returns=1, timeout=None)
    assert there == [first]
    assert clock.now == pytest.approx(2 + 1 + 1 + 10, abs=1 + SLACK)  # it began before the second
    assert simulated.get(first) == "trained"
    assert clock.busy == pytest.approx(2 + 2 + 4 + 2, abs=SLACK)
    assert simulated.wait([second], num_returns=1, timeout=100)[0] == [second]
    ready = handles[0].__ray_ready__.remote()
    assert simulated.wait([ready], num_returns=1, timeout=20)[0] == []
    assert simulated.wait([ready], num_returns=1, timeout=40)[0] == [ready]
