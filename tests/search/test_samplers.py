import ast
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from pruning import Schedule, Stage, StageStore
from search.configuration import SamplerName
from search.errors import ExhaustedError
from search.sampler_study import SamplerStudy
from search.samplers import make_sampler
from search.space import SearchSpace
from search.steady_nsga2 import SteadyNSGAIISampler
from tests.search.landscape import SCALE, SPACE, draft, grow, rounds


def stage_of(schedule: Schedule, accuracy: float | None = None) -> Stage:
    return Stage.accept(draft(schedule, accuracy), trial=0, executed_epochs=0, sha256="")


def study_of(*stages: Stage, space: SearchSpace = SPACE) -> SamplerStudy:
    study = SamplerStudy(space)
    for stage in stages:
        study.observe(stage)
    return study


def proposals(study: SamplerStudy, name: SamplerName, count: int) -> list[Schedule]:
    return [
        study.propose(make_sampler(name, SPACE, SCALE, seed=0, draw=draw))[1]
        for draw in range(count)
    ]


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
from tests.search.test_samplers import DIVIDED, GLOBAL, stage_of, study_of
print(study_of(stage_of(GLOBAL), space=DIVIDED)._study.trials[0].params)
"""
DIVIDED = replace(SPACE, allocations=("uniform", "global"))
GLOBAL = tuple(replace(round_, allocation="global") for round_ in rounds(0.5))


def test_a_study_that_another_process_rebuilds_has_the_same_rows() -> None:
    """Python hashes an allocation's name differently in each."""
    done = subprocess.run(
        [sys.executable, "-c", ROWS],
        cwd=Path(__file__).parents[2],
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
        for round_ in study.propose(make_sampler(name, DIVIDED, SCALE, seed=0, draw=draw))[1]
    }
    assert asked == {"uniform", "global"}


def test_a_proposal_repels_until_it_is_settled() -> None:
    study = study_of()
    row, _ = study.propose(make_sampler("random", SPACE, SCALE, seed=0, draw=0))
    assert study._study.trials[row].state is TrialState.RUNNING
    study.settle(row)
    assert study._study.trials[row].state is TrialState.FAIL


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_proposals_depend_on_seed_and_number_alone(name: SamplerName) -> None:
    def draw(seed: int, number: int) -> Schedule:
        study = study_of(*(stage_of(rounds(*[0.5] * length)) for length in range(4)))
        return study.propose(make_sampler(name, SPACE, SCALE, seed=seed, draw=number))[1]

    assert draw(0, 1) == draw(0, 1)
    assert len({draw(seed, number) for seed in range(3) for number in range(3)}) > 3


def test_the_tree_starts_with_children_of_the_root() -> None:
    asked = proposals(study_of(), "stage-tree", 12)
    assert {len(schedule) for schedule in asked} == {1}
    assert len(set(asked)) == 12


def test_the_tree_adds_one_round_to_a_known_stage_and_never_repeats() -> None:
    study = study_of(stage_of((), 0.9))
    known: set[Schedule] = {()}
    for draw in range(60):
        row, schedule = study.propose(make_sampler("stage-tree", SPACE, SCALE, seed=1, draw=draw))
        assert schedule[:-1] in known
        assert schedule not in known
        known.add(schedule)
        study.observe(stage_of(schedule))
        study.settle(row)


def test_the_tree_extends_stages_of_the_front_by_the_gap_below_them() -> None:
    """Parents are drawn in proportion to the gap in scaled log-parameters that they border."""
    root, wide, narrow = stage_of((), 0.9), stage_of(rounds(0.9), 0.8), stage_of(rounds(0.5), 0.7)
    behind = stage_of(rounds(0.7), 0.6)
    parents = Counter(
        study_of(root, wide, narrow, behind).propose(
            make_sampler("stage-tree", SPACE, SCALE, seed=seed, draw=0)
        )[1][:-1]
        for seed in range(1000)
    )
    x = SCALE.x([narrow.params, wide.params, root.params])
    expected = dict(
        zip((narrow.schedule, wide.schedule, root.schedule), np.diff(x, prepend=0), strict=True)
    )
    assert parents.keys() == expected.keys()
    for parent, share in expected.items():
        assert parents[parent] / 1000 == pytest.approx(share, abs=0.05)


def test_the_tree_tries_everything_before_it_gives_up() -> None:
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=3)
    study = study_of(stage_of((), 0.9), space=space)
    seen = set()
    for draw in range(2 + 4 + 8):
        row, schedule = study.propose(make_sampler("stage-tree", space, SCALE, seed=0, draw=draw))
        seen.add(schedule)
        study.observe(stage_of(schedule))
        study.settle(row)
    assert len(seen) == 14
    for draw in (14, 15):
        with pytest.raises(ExhaustedError):
            study.propose(make_sampler("stage-tree", space, SCALE, seed=0, draw=draw))


def test_a_prefix_becomes_a_parent_of_nsga2() -> None:
    """A stage that a trial only passed is chosen by non-dominated sorting like any other."""
    poor = [stage_of((one, other), 0.2) for one in SPACE.rounds() for other in SPACE.rounds()]
    passed, last = stage_of(rounds(0.9, 0.9), 0.9), stage_of(rounds(0.9, 0.9, 0.9), 0.1)
    study = study_of(passed, last, *poor)
    sampler = make_sampler("nsga2", SPACE, SCALE, seed=0, draw=0)
    assert isinstance(sampler, SteadyNSGAIISampler)
    parents = sampler.get_parent_population(study._study, 1)
    schedules = [SPACE.decode(row.params) for row in parents]
    assert passed.schedule in schedules
    assert last.schedule not in schedules


def test_nsga2_breeds_only_when_there_is_a_population() -> None:
    study = study_of()
    sampler = make_sampler("nsga2", SPACE, SCALE, seed=0, draw=0)
    assert isinstance(sampler, SteadyNSGAIISampler)
    row = study._study.ask()
    assert sampler.get_trial_generation(study._study, study._study.trials[row.number]) == 0
    for one in SPACE.rounds():
        for other in SPACE.rounds():
            study.observe(stage_of((one, other), 0.5))
    assert sampler.get_trial_generation(study._study, study._study.trials[row.number]) == 1
    assert len(sampler.get_parent_population(study._study, 1)) == sampler.population_size
