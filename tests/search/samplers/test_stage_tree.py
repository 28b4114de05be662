from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pruning import Schedule, Stage, width_mult
from search.errors import ExhaustedError
from search.samplers.by_name import sampler_maker
from search.samplers.known_tree import KnownTree
from search.samplers.space import SearchSpace
from search.samplers.stage_tree import StageTreeSampler
from search.samplers.study import NewSampler
from tests.search.landscape import EPOCHS, PRICING, SCALE, SPACE, stage_of, study_of

LEARNT = [
    stage_of(schedule)
    for length in (0, 1, 2)
    for schedule in product(SPACE.rounds()[::2], repeat=length)
]


def maker(*, space: SearchSpace = SPACE, seed: int = 0) -> NewSampler:
    return sampler_maker("stage-tree", space, SCALE, PRICING.at, seed=seed)


def test_a_search_soon_leads_down_to_the_smallest_networks() -> None:
    study, new_sampler = study_of(stage_of((), 0.9)), maker()
    widths = []
    for draw in range(12):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        widths.append(width_mult(schedule))
        study.observe(stage_of(schedule))
        study.settle(row)
    assert min(widths) <= 0.25


def test_workers_that_start_together_share_out_the_rounds_of_the_root() -> None:
    study, new_sampler = study_of(), maker()
    asked = [study.propose(new_sampler(draw), EPOCHS)[1] for draw in range(len(SPACE.rounds()))]
    assert {schedule[0] for schedule in asked} == set(SPACE.rounds())


def test_it_adds_one_round_to_a_known_stage_and_never_repeats() -> None:
    study, new_sampler = study_of(stage_of((), 0.9)), maker(seed=1)
    known: set[Schedule] = {()}
    for draw in range(60):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        assert schedule[:-1] in known
        assert schedule not in known
        known.add(schedule)
        study.observe(stage_of(schedule))
        study.settle(row)


def test_a_resumed_search_proposes_what_the_first_run_would_have() -> None:
    study, new_sampler = study_of(stage_of((), 0.9)), maker()
    asked = []
    for draw in range(12):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        asked.append(schedule)
        study.observe(stage_of(schedule))
        study.settle(row)
    resumed = study_of(stage_of((), 0.9), *map(stage_of, asked))
    assert resumed.propose(maker()(12), EPOCHS)[1] == study.propose(new_sampler(12), EPOCHS)[1]


def test_accuracies_count_for_the_same_from_the_first_round_to_the_last() -> None:
    """By what the whole search may spend, here half a schedule of rounds of average length."""
    study, left = study_of(stage_of((), 0.9)), 3
    sampler = StageTreeSampler(SPACE, KnownTree(SPACE, SCALE, PRICING.at), seed=0)
    powers = []
    while left:
        row, schedule = study.propose(sampler, left)
        left -= schedule[-1].epochs
        study.observe(stage_of(schedule))
        study.settle(row)
        sampler._tree.update(study._study)
        powers.append(sampler._utility(left).power)
    assert powers == [1.75] * len(powers)


def test_it_learns_which_rounds_pay() -> None:
    """Where a learning rate costs accuracy, it is soon asked for no more."""

    def accuracy(schedule: Schedule) -> float:
        return stage_of(schedule).val_accuracy - 0.1 * sum(one.lr == 1e-3 for one in schedule)

    study, new_sampler = study_of(stage_of((), accuracy(()))), maker()
    rates = []
    for draw in range(13):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        rates.append(schedule[-1].lr)
        study.observe(stage_of(schedule, accuracy(schedule)))
        study.settle(row)
    assert np.mean(np.array(rates[3:]) == 3e-3) >= 0.8


@pytest.mark.parametrize("samplers", [1, 2])
@pytest.mark.parametrize("known", [LEARNT, LEARNT[:1]])
def test_two_workers_do_not_ask_for_near_copies(known: Sequence[Stage], samplers: int) -> None:
    """What the first will find is expected, so the second looks elsewhere."""
    study = study_of(*known)
    asked = [maker()(draw) for draw in range(samplers)]
    first, second = (study.propose(asked[draw % samplers], 20)[1] for draw in range(2))
    assert first[:-1] != second[:-1] or first[-1].rate != second[-1].rate


def test_only_the_root_has_children_that_start_fresh() -> None:
    space = replace(SPACE, starts=("inherit", "fresh"))
    study, new_sampler = study_of(stage_of((), 0.9), space=space), maker(space=space)
    fresh = 0
    for draw in range(60):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        assert all(round_.start == "inherit" for round_ in schedule[1:])
        fresh += schedule[0].start == "fresh" and len(schedule) == 1
        lost = 0.3 if schedule[0].start == "inherit" else 0
        study.observe(stage_of(schedule, stage_of(schedule).val_accuracy - lost))
        study.settle(row)
    assert fresh > 3  # it pays, and that is found out


def test_it_tries_everything_before_it_gives_up() -> None:
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=3)
    study, new_sampler = study_of(stage_of((), 0.9), space=space), maker(space=space)
    seen = set()
    for draw in range(2 + 4 + 8):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        seen.add(schedule)
        study.observe(stage_of(schedule))
        study.settle(row)
    assert len(seen) == 14
    for draw in (14, 15):
        with pytest.raises(ExhaustedError):
            study.propose(new_sampler(draw), EPOCHS)


def test_a_choice_that_always_fails_is_soon_left_alone() -> None:
    """Or as much would be expected of it as before."""
    study, new_sampler = study_of(stage_of((), 0.9)), maker()
    failures = []
    for draw in range(40):
        row, schedule = study.propose(new_sampler(draw), EPOCHS)
        failures.append(schedule[-1].lr == 3e-3)
        if not failures[-1]:
            study.observe(stage_of(schedule))
        study.settle(row)
    assert 0 < sum(failures) < 10
    assert sum(failures[20:]) < 6


def test_proposals_that_are_made_together_are_made_by_the_evidence_before_them() -> None:
    """What comes in meanwhile is for the next; what is asked for meanwhile is not asked again."""
    known = [stage_of(()), *map(stage_of, product(SPACE.rounds(), repeat=1))]
    space = replace(SPACE, max_rounds=3)
    study, asked = study_of(*known, space=space), set()
    new_sampler = sampler_maker("stage-tree", space, SCALE, PRICING.at, seed=0, together=3)
    first, second, third, fourth = (new_sampler(draw) for draw in range(4))
    assert first is second is third is not fourth
    for sampler in (first, second, third):
        row, schedule = study.propose(sampler, EPOCHS)
        assert len(schedule) == 2  # of what was known at first
        assert schedule not in asked
        asked.add(schedule)
        study.observe(stage_of(schedule, 0.999))
        study.settle(row)
    later = [study.propose(new_sampler(draw), EPOCHS)[1] for draw in range(4, 24)]
    assert any(schedule[:-1] in asked for schedule in later)


def test_proposals_that_are_made_together_are_no_near_copies() -> None:
    """With nothing else told, they are as far apart as those that are planned one by one."""

    def sizes(together: int) -> list[float]:
        make = sampler_maker("stage-tree", SPACE, SCALE, PRICING.at, seed=0, together=together)
        study = study_of(*LEARNT)
        return [width_mult(study.propose(make(draw), EPOCHS)[1]) for draw in range(6)]

    assert len({*sizes(6)}) >= len({*sizes(1)}) - 1


def test_a_sampler_that_has_nothing_left_looks_anew() -> None:
    space = replace(SPACE, max_rounds=1)
    study = study_of(stage_of(()), space=space)
    sampler = maker(space=space)(0)
    asked = {study.propose(sampler, EPOCHS)[1] for _ in space.rounds()}
    assert len(asked) == len(space.rounds())
    with pytest.raises(ExhaustedError):
        study.propose(sampler, EPOCHS)
