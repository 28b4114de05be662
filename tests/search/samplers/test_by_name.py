import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from pruning import Schedule, StageStore
from search.samplers.by_name import sampler_maker
from search.samplers.names import SamplerName
from search.samplers.space import SearchSpace
from search.samplers.steady_nsga2 import SteadyNSGAIISampler
from tests.search.landscape import (
    EPOCHS,
    PRICING,
    SCALE,
    SPACE,
    grow,
    rounds,
    stage_of,
    study_of,
)


def sampler(
    name: SamplerName, *, space: SearchSpace = SPACE, seed: int = 0, draw: int = 0
) -> BaseSampler:
    return sampler_maker(name, space, SCALE, PRICING.at, seed=seed)(draw)


def test_every_stage_is_a_row_that_samplers_see(store: StageStore) -> None:
    stages = grow(store, rounds(0.5, 0.7, 0.9))
    study = study_of(*stages, *stages)
    rows = study._study.trials
    assert [row.state for row in rows] == [TrialState.COMPLETE] * 3
    assert [SPACE.decode(row.params) for row in rows] == [stage.schedule for stage in stages[1:]]
    assert [row.values for row in rows] == [
        [stage.val_accuracy, stage.params] for stage in stages[1:]
    ]
    common = optuna.search_space.intersection_search_space(rows)
    assert common.keys() == SPACE.sizes().keys()


ROWS = """
from tests.search.samplers.test_by_name import DIVIDED, GLOBAL, stage_of, study_of
print(study_of(stage_of(GLOBAL), space=DIVIDED)._study.trials[0].params)
"""
DIVIDED = replace(SPACE, allocations=("uniform", "global"))
GLOBAL = tuple(replace(round_, allocation="global") for round_ in rounds(0.5))


def test_a_study_that_another_process_rebuilds_has_the_same_rows() -> None:
    """Python hashes an allocation's name differently in each."""
    done = subprocess.run(
        [sys.executable, "-c", ROWS],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = study_of(stage_of(GLOBAL), space=DIVIDED)._study.trials[0].params
    assert ast.literal_eval(done.stdout) == here


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_both_allocations_are_proposed(name: SamplerName) -> None:
    study = study_of(stage_of((), 0.9), stage_of(GLOBAL), space=DIVIDED)
    asked = {
        round_.allocation
        for draw in range(20)
        for round_ in study.propose(sampler(name, space=DIVIDED, draw=draw), EPOCHS)[1]
    }
    assert asked == {"uniform", "global"}


def test_a_proposal_repels_until_it_is_settled() -> None:
    study = study_of()
    row, _ = study.propose(sampler("random"), EPOCHS)
    assert study._study.trials[row].state is TrialState.RUNNING
    study.settle(row)
    assert study._study.trials[row].state is TrialState.FAIL


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_proposals_depend_on_seed_and_number_alone(name: SamplerName) -> None:
    def draw(seed: int, number: int) -> Schedule:
        study = study_of(*(stage_of(rounds(*[0.5] * length)) for length in range(4)))
        return study.propose(sampler(name, seed=seed, draw=number), EPOCHS)[1]

    assert draw(0, 1) == draw(0, 1)


@pytest.mark.parametrize("name", ["tpe", "nsga2", "gp", "random"])
def test_proposals_vary_with_seed_and_number(name: SamplerName) -> None:
    drawn = [
        study_of().propose(sampler(name, seed=s, draw=n), EPOCHS)[1]
        for s in (0, 1)
        for n in (0, 1)
    ]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_after_a_repeat_stock_samplers_draw_at_random(name: SamplerName) -> None:
    make = sampler_maker(name, SPACE, SCALE, PRICING.at, seed=0)
    assert type(make(3)) is not RandomSampler or name == "random"
    assert (type(make(3, after_repeat=True)) is RandomSampler) is (name != "stage-tree")


def test_a_prefix_becomes_a_parent_of_nsga2() -> None:
    """A stage that a trial only passed is chosen by non-dominated sorting like any other."""
    poor = [stage_of((one, other), 0.2) for one in SPACE.rounds() for other in SPACE.rounds()]
    passed, last = stage_of(rounds(0.9, 0.9), 0.9), stage_of(rounds(0.9, 0.9, 0.9), 0.1)
    study = study_of(passed, last, *poor)
    breeder = sampler("nsga2")
    assert isinstance(breeder, SteadyNSGAIISampler)
    parents = breeder.get_parent_population(study._study, 1)
    schedules = [SPACE.decode(row.params) for row in parents]
    assert passed.schedule in schedules
    assert last.schedule not in schedules


def test_nsga2_breeds_only_when_there_is_a_population() -> None:
    study = study_of()
    breeder = sampler("nsga2")
    assert isinstance(breeder, SteadyNSGAIISampler)
    row = study._study.ask()
    assert breeder.get_trial_generation(study._study, study._study.trials[row.number]) == 0
    for one in SPACE.rounds():
        for other in SPACE.rounds():
            study.observe(stage_of((one, other), 0.5))
    assert breeder.get_trial_generation(study._study, study._study.trials[row.number]) == 1
    assert len(breeder.get_parent_population(study._study, 1)) == breeder.population_size
