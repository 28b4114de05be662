"""The division of channels among blocks, held against plain statements of its rule."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models import StudentNet, student_channels
from pruning import (
    Allocation,
    Importance,
    Round,
    Schedule,
    StudentArchitecture,
    allocate,
    slim,
    width_mult,
)
from pruning.allocation import FLOOR, most_important
from tests.pruning.networks import architecture_of, random_net

PRUNABLE = range(3, 7)
RATES = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.95, 1.0])
WIDTHS = st.lists(st.integers(1, 9), min_size=8, max_size=8)


def rounds(allocation: Allocation, *rates: float) -> Schedule:
    return tuple(Round(rate=rate, epochs=1, lr=1e-3, allocation=allocation) for rate in rates)


def ranking(net: StudentNet, block: int) -> Tensor:
    """γ of the channels that a block puts out: that of the *next* block's batch norm."""
    gamma: Tensor = net.get_submodule(f"cnn.{block + 1}.1").weight.detach()
    return gamma


@given(data=st.data())
def test_the_most_important_channels_are_those_of_the_best_of_all_divisions(
    data: st.DataObject,
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    floors = [data.draw(st.integers(0, size)) for size in sizes]
    total = data.draw(st.integers(sum(floors), sum(sizes)))
    ranks = data.draw(st.permutations(range(sum(sizes))))  # distinct, so one division is the best
    scores = [part.sort(descending=True).values for part in torch.tensor(ranks).split(sizes)]
    divisions = [
        counts
        for counts in product(*map(lambda least, most: range(least, most + 1), floors, sizes))
        if sum(counts) == total
    ]
    best = max(
        divisions,
        key=lambda counts: sum(
            2 ** int(rank)
            for score, count in zip(scores, counts, strict=True)
            for rank in score[:count]
        ),
    )
    assert most_important(scores, floors, total=total) == list(best)


def test_of_equal_scores_those_of_the_earlier_group_are_kept() -> None:
    ones = [torch.ones(3)] * 3
    assert most_important(ones, [1, 1, 1], total=6) == [3, 2, 1]


@pytest.mark.parametrize(
    ("importance", "counts"), [("gamma", (1, 2, 4, 1)), ("signed-gamma", (1, 1, 4, 2))]
)
def test_each_blocks_output_is_ranked_by_the_next_blocks_norm(
    importance: Importance, counts: tuple[int, ...]
) -> None:
    """γ of blocks 3 to 6 and their neighbours; a floor of half of 2 channels is one."""
    net = random_net([4] * 8, seed=0)
    for block, gamma in {
        2: [9.0, 9.0, 9.0, 9.0],
        3: [0.1, 0.1, 0.1, 0.1],
        4: [0.2, -3.0, 0.1, 2.0],
        5: [5.0, 4.0, 6.0, 7.0],
        6: [0.3, 0.5, 0.2, 1.0],
    }.items():
        ranking(net, block).copy_(torch.tensor(gamma))
    left = allocate(net, architecture_of(net), [4] * 8, rounds("global", 0.5), importance)
    assert left == (4, 4, 4, *counts, 4)


@given(channels=WIDTHS, seed=st.integers(0, 99), rate=RATES)
def test_a_globally_pruned_net_equals_the_wide_one_with_silenced_channels(
    channels: list[int], seed: int, rate: float
) -> None:
    """The least important channels of all blocks are silenced one by one, down to the floors."""
    net, architecture = random_net(channels, seed), architecture_of(random_net(channels, seed))
    left = allocate(net, architecture, channels, rounds("global", rate))
    slimmed = slim(net, architecture, left)

    uniform = [max(1, int(count * rate)) for count in channels]
    floors = [max(1, int(FLOOR * count)) for count in uniform]
    kept = {block: set(range(channels[block])) for block in PRUNABLE}
    importance = {
        (block, channel): abs(ranking(net, block)[channel].item())
        for block in PRUNABLE
        for channel in kept[block]
    }
    surplus = sum(channels[block] - uniform[block] for block in PRUNABLE)
    for block, channel in sorted(importance, key=importance.__getitem__):
        if surplus and len(kept[block]) > floors[block]:
            kept[block].remove(channel)
            net.get_submodule(f"cnn.{block + 1}.3").weight.data[:, channel] = 0
            surplus -= 1

    assert left == tuple(len(kept[b]) if b in PRUNABLE else n for b, n in enumerate(channels))
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(slimmed.double()(images), net.double()(images))


ROUNDS = st.tuples(RATES, st.sampled_from(["uniform", "global"]))


@given(base=st.integers(1, 4), seed=st.integers(0, 99), steps=st.lists(ROUNDS, max_size=6))
def test_rounds_of_both_kinds_in_any_order(
    base: int, seed: int, steps: list[tuple[float, Allocation]]
) -> None:
    root = StudentNet(base=base, num_classes=5)
    architecture = architecture_of(root)
    channels, schedule = root.channels, ()
    width, scaled = 1.0, False  # whether a uniform round has scaled what a global one left
    for number, (rate, allocation) in enumerate(steps):
        schedule += (Round(rate=rate, epochs=1, lr=1e-3, allocation=allocation),)
        before, planned = channels, architecture.channels_at(width)
        width *= rate
        net = random_net(before, seed + number)
        channels = allocate(net, architecture, before, schedule)

        own = tuple(max(1, int(n * rate)) if b in PRUNABLE else n for b, n in enumerate(before))
        assert all(1 <= now <= then for now, then in zip(channels, before, strict=True))
        assert channels[:3] + channels[7:] == root.channels[:3] + root.channels[7:]
        if rate == 1:
            assert channels == before
        if allocation == "uniform":
            by_rule = before == planned
            assert channels == (architecture.channels_at(width) if by_rule else own)
            scaled |= not by_rule
        elif not scaled:
            uniform = architecture.channels_at(width)
            assert sum(channels) == sum(uniform)
            assert all(now >= int(FLOOR * n) for now, n in zip(channels, uniform, strict=True))
        slim(net, architecture, channels)


def test_global_rounds_keep_the_total_of_the_uniform_rule_round_after_round() -> None:
    """Never the floor of a floor."""
    architecture = architecture_of(StudentNet(base=4))
    channels, schedule = architecture.channels, ()
    for number in range(1, 9):
        schedule += rounds("global", 0.95)
        channels = allocate(random_net(channels, number), architecture, channels, schedule)
        assert sum(channels) == sum(architecture.channels_at(width_mult(schedule)))


def test_a_block_without_batch_norm_keeps_to_the_uniform_rule() -> None:
    net = random_net(student_channels(4), seed=0)
    architecture = architecture_of(net, "all")
    left = allocate(net, architecture, net.channels, rounds("global", 0.3))
    uniform = architecture.channels_at(0.3)
    assert left != uniform
    assert left[-1] == uniform[-1]
    assert sum(left) == sum(uniform)
    slim(net, architecture, left)


def test_a_block_below_its_floor_keeps_what_it_has() -> None:
    """Rounds of both kinds can come to the uniform rule's total (here 16) by other counts."""
    architecture = StudentArchitecture(channels=(4, 4, 4, 8, 8, 8, 8, 4), num_classes=5)
    channels = (4, 4, 4, 1, 5, 5, 5, 4)
    schedule = (*rounds("global", 0.5), *rounds("global", 1.0))
    assert allocate(random_net(channels, 0), architecture, channels, schedule) == channels


def test_uniform_rounds_give_the_notebooks_counts() -> None:
    """Never the floor of a floor; what γ is plays no part."""
    channels, schedule = student_channels(), ()
    net = StudentNet()
    for width in (0.95, 0.9025, 0.857375):
        schedule += rounds("uniform", 0.95)
        channels = allocate(net, architecture_of(net), channels, schedule)
        assert channels[3:7] == (int(128 * width), *(int(256 * width),) * 3)


def test_a_floor_of_all_that_the_uniform_rule_leaves_is_the_uniform_rule() -> None:
    net = random_net(student_channels(4), seed=0)
    architecture = architecture_of(net)
    left = allocate(net, architecture, net.channels, rounds("global", 0.7), floor=1.0)
    assert left == architecture.channels_at(0.7)
    assert left != allocate(net, architecture, net.channels, rounds("global", 0.7))
