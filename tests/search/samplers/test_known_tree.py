from itertools import permutations

import numpy as np
import pytest

from pruning import Schedule, width_mult
from search.samplers.by_name import sampler_maker
from search.samplers.known_tree import KnownTree
from search.samplers.study import SamplerStudy
from tests.search.landscape import (
    EPOCHS,
    PRICING,
    SCALE,
    SPACE,
    draft,
    rounds,
    stage_of,
    study_of,
)

ROOT, ONE, TWO, OTHER = (), rounds(0.5), rounds(0.5, 0.7), rounds(0.9)


def tree_of(study: SamplerStudy) -> KnownTree:
    tree = KnownTree(SPACE, SCALE, PRICING.at)
    tree.update(study._study)
    return tree


@pytest.mark.parametrize("order", list(permutations([ROOT, ONE, TWO, OTHER])))
def test_every_stage_knows_its_parent_in_whatever_order_they_come(
    order: tuple[Schedule, ...],
) -> None:
    study = study_of()
    grown = KnownTree(SPACE, SCALE, PRICING.at)
    for schedule in order:
        study.observe(stage_of(schedule))
        grown.update(study._study)
    for tree in (grown, tree_of(study)):
        assert set(tree.schedules) == set(order)
        for schedule, parent in zip(tree.schedules, tree.parents, strict=True):
            assert parent == (tree.index(schedule[:-1]) if schedule else -1)
        drafts = [draft(schedule) for schedule in tree.schedules]
        assert np.array_equal(tree.x, SCALE.x([made.params for made in drafts]))
        assert np.array_equal(tree.y, SCALE.y([made.val_accuracy for made in drafts]))


def test_a_stage_without_a_parent_is_nobodys_child() -> None:
    tree = tree_of(study_of(stage_of(TWO)))
    assert tree.parents.tolist() == [-1]


def test_a_proposal_is_pending_until_it_is_settled() -> None:
    study = study_of(stage_of(ROOT))
    tree = tree_of(study)
    row, schedule = study.propose(
        sampler_maker("random", SPACE, SCALE, PRICING.at, seed=0)(0), EPOCHS
    )
    adopted = study.adopt(ONE)
    tree.update(study._study)
    assert tree.pending == [schedule, ONE]
    for number in (row, adopted):
        study.settle(number)
    tree.update(study._study)
    assert tree.pending == []
    for one in (schedule, ONE):
        assert tree.asked(one[:-1]) == {one[-1]}
    assert tree.index(ONE) is None


def test_x_at_is_that_of_a_stage_of_the_width() -> None:
    tree = tree_of(study_of(stage_of(TWO)))
    assert tree.x_at(width_mult(TWO)) == tree.x[0]


def test_the_epochs_of_a_round_count_once_from_when_it_is_asked_for() -> None:
    study = study_of(stage_of(ROOT), stage_of(ONE))
    tree = tree_of(study)
    assert tree.epochs == ONE[-1].epochs
    rows = [study.adopt(schedule) for schedule in (ONE, TWO)]
    tree.update(study._study)
    assert tree.epochs == ONE[-1].epochs + TWO[-1].epochs
    for row in rows:
        study.settle(row)
    tree.update(study._study)
    assert tree.epochs == ONE[-1].epochs + TWO[-1].epochs
