from dataclasses import replace
from typing import get_args

import pytest

from pruning import StageStore
from search.front.cost import Pricing, cost_of, costs_of
from search.front.names import CostName
from search.front.stages import front
from tests.search.landscape import ARCHITECTURE, draft, rounds, stage_of


@pytest.mark.parametrize("name", get_args(CostName))
def test_what_a_network_costs_is_known_before_it_is_made(name: CostName) -> None:
    pricing = Pricing(name=name, architecture=ARCHITECTURE, image_size=32)
    prices = [pricing.at(width) for width in (0.0, 0.1, 0.5, 1.0)]
    assert prices == sorted(set(prices))
    stage = stage_of(rounds(0.5))
    made = replace(stage, size_bytes=ARCHITECTURE.size_bytes(stage.channels))
    assert cost_of(made, name) == pricing.at(0.5)


def test_each_cost_has_a_front_of_its_own(store: StageStore) -> None:
    for place, (params, macs, size) in enumerate([(10, 30, 20), (20, 10, 30), (30, 20, 10)]):
        made = draft(rounds(*[0.9] * place), accuracy=0.9)
        store.commit(replace(made, params=params, macs=macs, size_bytes=size), b"", trial=0)
    for name, least in (("params", 0), ("macs", 1), ("bytes", 2)):
        (member,) = front(store, name)
        assert len(member.schedule) == least
        assert costs_of([member], name) == [10]
