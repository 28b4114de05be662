from dataclasses import replace

import pytest

from search.errors import RefusedError
from search.front.stages import front
from search.takehome.choice import Wish
from tests.search.landscape import rounds, stage_of

ROOT = stage_of((), 0.9)
HALF = stage_of(rounds(0.5), 0.8)
HALF_AGAIN = stage_of(rounds(0.7, 0.7), 0.8)
SMALL = stage_of(rounds(0.1), 0.6)
BAD = stage_of(rounds(0.2), 0.5)
ALL = (BAD, HALF_AGAIN, SMALL, ROOT, HALF)


def test_the_most_accurate_that_fits() -> None:
    assert Wish(max_params=ROOT.params).choose(ALL, "params") is ROOT
    assert Wish(max_params=ROOT.params - 1).choose(ALL, "params") in (HALF, HALF_AGAIN)
    assert Wish(max_macs=SMALL.macs).choose(ALL, "params") is SMALL
    assert Wish(max_params=BAD.params).choose(ALL, "params") is SMALL
    assert Wish(max_params=ROOT.params, max_macs=BAD.macs).choose(ALL, "params") is SMALL


def test_the_cheapest_that_is_accurate_enough() -> None:
    assert Wish(min_accuracy=0.6).choose(ALL, "params") is SMALL
    assert Wish(min_accuracy=0.55).choose(ALL, "params") is SMALL
    assert Wish(min_accuracy=0.81).choose(ALL, "params") is ROOT


def test_with_both_it_is_the_most_accurate() -> None:
    assert Wish(min_accuracy=0.6, max_params=ROOT.params).choose(ALL, "params") is ROOT


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_it_is_on_the_front_and_does_not_hang_on_the_order(cost: str) -> None:
    least, most = (getattr(stage, cost) for stage in (SMALL, ROOT))
    for wish in (
        *(Wish(**{f"max_{cost}": limit}) for limit in range(least, most, most // 50)),
        *(Wish(min_accuracy=twentieths / 20) for twentieths in range(1, 19)),
    ):
        chosen = wish.choose(ALL, cost)
        assert chosen in front(ALL, cost)
        assert wish.choose(ALL[::-1], cost) is chosen


def test_ties_go_to_the_cheaper_and_then_to_the_lesser_id() -> None:
    assert HALF_AGAIN.params < HALF.params
    wish = Wish(max_params=HALF.params)
    assert wish.choose(ALL, "params") is HALF_AGAIN
    twins = [stage_of(rounds(rate), 0.7) for rate in (0.501, 0.502)]
    assert len({twin.params for twin in twins}) == 1
    assert wish.choose(twins, "params") is min(twins, key=lambda twin: twin.id)


def test_a_refusal_names_the_nearest_and_what_it_lacks() -> None:
    with pytest.raises(RefusedError) as caught:
        Wish(max_params=100).choose(ALL, "params")
    assert str(caught.value) == (
        f"No network fits. The nearest, {SMALL.id}, has {SMALL.params:,} parameters, "
        f"{SMALL.params - 100:,} parameters above --max-params 100."
    )
    with pytest.raises(RefusedError, match=f"{ROOT.id}, has .* of 0.9000, below --min-accuracy"):
        Wish(min_accuracy=0.95).choose(ALL, "params")
    with pytest.raises(RefusedError, match=f"{SMALL.id}, has .* of 0.6000, below --min-accuracy"):
        Wish(min_accuracy=0.95, max_params=SMALL.params).choose(ALL, "params")
    with pytest.raises(RefusedError, match=r"parameters above .* 9 and .*s above .* 9\."):
        Wish(max_macs=9, max_params=9).choose(ALL, "params")


def test_latency_is_that_which_was_measured() -> None:
    slow, fast = replace(ROOT, latency_ms=1.012), replace(HALF, latency_ms=0.4)
    untimed = replace(SMALL, latency_ms=None)
    stages = (untimed, slow, fast)
    assert Wish(max_latency=1.013).choose(stages, "latency") is slow
    assert Wish(max_latency=1.011).choose(stages, "params") is fast
    with pytest.raises(RefusedError, match=f"{fast.id}, has 0.4 ms, 0.1 ms above --max-latency"):
        Wish(max_latency=0.3).choose(stages, "latency")
    with pytest.raises(RefusedError, match="were not timed"):
        Wish(max_latency=1).choose((untimed,), "params")


def test_wishes_that_make_no_sense_are_refused() -> None:
    for wish, message in (
        ({}, "Say which network"),
        ({"max_params": 0}, "--max-params must be above 0, got 0"),
        ({"max_latency": float("inf")}, "--max-latency must be above 0, got inf"),
        ({"min_accuracy": 95.0}, r"--min-accuracy must be in \(0, 1\], got 95"),
        ({"min_accuracy": float("nan")}, "--min-accuracy must be"),
    ):
        with pytest.raises(RefusedError, match=message):
            Wish(**wish)
