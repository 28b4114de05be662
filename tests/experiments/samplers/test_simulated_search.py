from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from data import DataSource
from experiments.instruments.subset import open_subset
from experiments.samplers.simulated_search import Curve, Rounds, Usage, simulate
from models import student_channels
from pruning import Origin, Recipe, Round, RoundRunner, Schedule, StageStore, StudentArchitecture
from search.front.hypervolume import Scale
from search.samplers.space import SearchSpace
from search.samplers.study import distributions

SPACE = SearchSpace(rates=(0.5, 0.9), epochs=(1, 2), lrs=(1e-3,), max_rounds=3)
SCALE = Scale(least_cost=100, root_cost=100_000, chance=0.1)
HARSH, MILD, LONG = (
    Round(rate=rate, epochs=epochs, lr=1e-3) for rate, epochs in ((0.5, 1), (0.9, 1), (0.9, 2))
)
PATIENT = Usage(early_stop=False)
ALONE = Usage(observes="trials", candidates="trials", shares=False, early_stop=False)


class Scripted(BaseSampler):
    """Proposes what it is told to."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return distributions(SPACE)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        return dict.fromkeys(search_space, 0) | SPACE.encode(self._schedule)

    def sample_independent(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="session")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    """Real rounds, on few images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        data = open_subset(
            DataSource(data="digits", image_size=16), train_images=64, validation_images=64
        )
    origin = Origin(
        recipe=Recipe(root_epochs=1),
        seed=0,
        data_fingerprint=data.fingerprint,
        root={},
        device_type="cpu",
    )
    runner = RoundRunner(
        architecture=StudentArchitecture(channels=student_channels(4), num_classes=10),
        data=data,
        origin=origin,
        device=torch.device("cpu"),
    )
    return Rounds(runner, StageStore(tmp_path_factory.mktemp("stages")))


def run(
    rounds: Rounds,
    script: Sequence[Schedule],
    usage: Usage = PATIENT,
    *,
    budget: int,
    workers: int = 1,
) -> Curve:
    """A search that proposes a script, over and over, but at random after a repeat."""

    def make(draw: int, *, after_repeat: bool = False) -> BaseSampler:
        return RandomSampler(seed=draw) if after_repeat else Scripted(script[draw % len(script)])

    return simulate(
        rounds,
        SPACE,
        SCALE,
        make,
        usage,
        budget=budget,
        workers=workers,
    )


def bill(curve: Curve) -> list[tuple[int, Schedule]]:
    return [
        (epochs, stage.schedule) for epochs, stage in zip(curve.epochs, curve.stages, strict=True)
    ]


SCRIPT = [(MILD, LONG), (MILD, HARSH), (LONG,)]


def test_every_stage_counts_and_shared_rounds_are_free(rounds: Rounds) -> None:
    assert bill(run(rounds, SCRIPT, budget=6)) == [
        (0, ()),
        (1, (MILD,)),
        (3, (MILD, LONG)),
        (4, (MILD, HARSH)),
        (6, (LONG,)),
    ]


def test_stock_usage_pays_for_all_rounds_and_has_the_last_ones(rounds: Rounds) -> None:
    assert bill(run(rounds, SCRIPT, ALONE, budget=7)) == [
        (0, ()),
        (3, (MILD, LONG)),
        (5, (MILD, HARSH)),
        (7, (LONG,)),
    ]


def test_the_round_that_would_pass_the_budget_ends_a_search(rounds: Rounds) -> None:
    assert bill(run(rounds, SCRIPT, budget=2)) == [(0, ()), (1, (MILD,))]


def test_workers_finish_in_the_order_of_their_rounds_epochs(rounds: Rounds) -> None:
    made = bill(run(rounds, [(LONG,), (HARSH, HARSH)], budget=4, workers=2))
    assert made == [(0, ()), (1, (HARSH,)), (3, (LONG,)), (4, (HARSH, HARSH))]


def test_a_round_in_flight_is_waited_for_and_paid_once(rounds: Rounds) -> None:
    made = bill(run(rounds, [(LONG, HARSH), (LONG, MILD)], budget=4, workers=2))
    assert made[:2] == [(0, ()), (2, (LONG,))]
    assert set(made[2:]) == {(3, (LONG, HARSH)), (4, (LONG, MILD))}


def test_after_a_repeat_the_next_trial_is_drawn_at_random(rounds: Rounds) -> None:
    """Some samplers would ask for the same until the end."""
    curve = run(rounds, [(HARSH,)], budget=8)
    assert curve.epochs[-1] >= 7
    assert len({stage.schedule for stage in curve.stages}) == len(curve.stages) > 3


def test_what_the_store_has_is_not_run_again_but_charged(rounds: Rounds) -> None:
    once = run(rounds, SCRIPT, budget=6)
    stages = len(rounds._store)
    again = run(rounds, SCRIPT, budget=6)
    assert bill(once) == bill(again)
    assert len(rounds._store) == stages


def test_a_trial_that_falls_far_behind_is_stopped(rounds: Rounds) -> None:
    """Of seven networks of a width, one of the worst is no parent of the trial's next round."""
    usage = Usage(early_stop=True)
    stopped = run(rounds, [(HARSH,)], usage, budget=60)
    ended = run(rounds, [(HARSH,)], budget=60)
    assert [stage.id for stage in stopped.stages] != [stage.id for stage in ended.stages]
