import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from pruning import Schedule, StageStore
from search.configuration import SamplerName
from search.samplers import sampler_maker
from search.steady_nsga2 import SteadyNSGAIISampler
from tests.search.landscape import (
    ARCHITECTURE,
    SCALE,
    SPACE,
    grow,
    rounds,
    stage_of,
    study_of,
)


def sampler(name: SamplerName, *, seed: int = 0, draw: int = 0) -> BaseSampler:
    return sampler_maker(name, SPACE, SCALE, ARCHITECTURE, seed=seed)(draw)


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


def test_a_rebuilt_study_has_the_same_rows() -> None:
    rows = [study_of(stage_of(rounds(0.5)))._study.trials[0].params for _ in range(2)]
    assert rows[0] == rows[1]


def test_a_proposal_repels_until_it_is_settled() -> None:
    study = study_of()
    row, _ = study.propose(sampler("random"))
    assert study._study.trials[row].state is TrialState.RUNNING
    study.settle(row)
    assert study._study.trials[row].state is TrialState.FAIL


@pytest.mark.parametrize("name", ["stage-tree", "tpe", "nsga2", "gp", "random"])
def test_proposals_depend_on_seed_and_number_alone(name: SamplerName) -> None:
    def draw(seed: int, number: int) -> Schedule:
        study = study_of(*(stage_of(rounds(*[0.5] * length)) for length in range(4)))
        return study.propose(sampler(name, seed=seed, draw=number))[1]

    assert draw(0, 1) == draw(0, 1)


@pytest.mark.parametrize("name", ["tpe", "nsga2", "gp", "random"])
def test_proposals_vary_with_seed_and_number(name: SamplerName) -> None:
    drawn = [study_of().propose(sampler(name, seed=s, draw=n))[1] for s in (0, 1) for n in (0, 1)]
    assert len(set(drawn)) > 1


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
