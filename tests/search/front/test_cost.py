from dataclasses import replace
from typing import get_args

import pytest

from pruning import LatencyLadder, StageStore
from search.front.cost import Pricing, cost_of, costs_of
from search.front.names import CostName
from search.front.stages import front
from tests.search.landscape import ARCHITECTURE, draft, rounds, stage_of


@pytest.mark.parametrize("name", sorted({*get_args(CostName)} - {"latency"}))
def test_what_a_network_costs_is_known_before_it_is_made(name: CostName) -> None:
    pricing = Pricing(name=name, architecture=ARCHITECTURE, image_size=32)
    prices = [pricing.at(width) for width in (0.0, 0.1, 0.5, 1.0)]
    assert prices == sorted(set(prices))
    stage = stage_of(rounds(0.5))
    made = replace(stage, size_bytes=ARCHITECTURE.size_bytes(stage.channels))
    assert cost_of(made, name) == pricing.at(0.5)


def test_latencies_are_expected_between_those_of_the_ladder() -> None:
    ladder = LatencyLadder(device="a card", widths=(0.0, 0.5, 1.0), milliseconds=(1.0, 2.0, 4.0))
    pricing = Pricing(name="latency", architecture=ARCHITECTURE, image_size=32, ladder=ladder)
    assert [pricing.at(width) for width in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1, 1.5, 2, 3, 4]


def test_a_network_is_not_on_the_front_by_what_a_measurement_is_not_worth(
    store: StageStore,
) -> None:
    for place, (latency, accuracy) in enumerate([(1.001, 0.9), (0.999, 0.8), (0.95, 0.7)]):
        made = draft(rounds(*[0.9] * place), accuracy=accuracy)
        store.commit(replace(made, latency_ms=latency, latency_on="a card"), b"", trial=0)
    assert [stage.val_accuracy for stage in front(store, "latency")] == [0.7, 0.9]


def test_a_network_that_was_not_timed_takes_the_longest(store: StageStore) -> None:
    store.commit(draft((), accuracy=0.9), b"", trial=0)
    timed = replace(draft(rounds(0.5), accuracy=0.9), latency_ms=1.0, latency_on="a card")
    store.commit(timed, b"", trial=0)
    assert [stage.id for stage in front(store, "latency")] == [timed.id]


def test_each_cost_has_a_front_of_its_own(store: StageStore) -> None:
    for place, (params, macs, size) in enumerate([(10, 30, 20), (20, 10, 30), (30, 20, 10)]):
        made = draft(rounds(*[0.9] * place), accuracy=0.9)
        store.commit(replace(made, params=params, macs=macs, size_bytes=size), b"", trial=0)
    for name, least in (("params", 0), ("macs", 1), ("bytes", 2)):
        (member,) = front(store, name)
        assert len(member.schedule) == least
        assert costs_of([member], name) == [10]
