"""Axes that several groups share, held against a list of who lies at each place."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning import ChannelGroup
from pruning.groups import Part, SharedAxis, channel_counts, cut

PARTS = st.lists(
    st.builds(Part, st.sampled_from([0, 1, 2, None]), st.integers(1, 4)), min_size=1, max_size=6
)
COUNTS = st.fixed_dictionaries({0: st.integers(1, 5), 1: st.integers(1, 5), 2: st.integers(1, 5)})

Place = tuple[int | None, int, int, int]  # owner, channel, which part, which place in it


def laid_out(parts: list[Part], channels: dict[int, list[int]]) -> list[Place]:
    """Who lies where, place by place."""
    places: list[Place] = []
    for number, (owner, width) in enumerate(parts):
        for channel in [0] if owner is None else channels[owner]:
            places += [(owner, channel, number, at) for at in range(width)]
    return places


@given(parts=PARTS, counts=COUNTS, data=st.data())
def test_places_stay_with_their_channels(
    parts: list[Part], counts: dict[int, int], data: st.DataObject
) -> None:
    axis = SharedAxis(tensor="weight", axis=0, parts=tuple(parts))
    kept = {
        block: data.draw(st.permutations(range(n)))[: data.draw(st.integers(1, n))]
        for block, n in counts.items()
    }
    wide = laid_out(parts, {block: list(range(n)) for block, n in counts.items()})
    chosen = axis.kept({block: torch.tensor(at) for block, at in kept.items()}, counts)
    assert [wide[place] for place in chosen.tolist()] == laid_out(parts, kept)
    for block in {owner for owner, _ in parts if owner is not None}:
        for channel, places in enumerate(axis.index(block, counts).tolist()):
            assert places == [
                at for at, (owner, one, *_) in enumerate(wide) if (owner, one) == (block, channel)
            ]


def test_tensors_are_cut_on_all_their_axes() -> None:
    """A linear layer that reads two places of each channel of block 0, then block 1's."""
    reads = SharedAxis(tensor="fc", axis=1, parts=(Part(0, 2), Part(None, 1), Part(1, 1)))
    groups = (
        ChannelGroup(block=0, batch_norm=None, ties=(("conv", 0),), shared=(reads,)),
        ChannelGroup(block=1, batch_norm=None, ties=(("fc", 0),), shared=(reads,)),
    )
    tensors = {
        "conv": torch.arange(3.0),
        "fc": torch.arange(18.0).view(2, 9),
        "free": torch.ones(4),
    }
    assert channel_counts(tensors, groups) == {0: 3, 1: 2}
    left = cut(tensors, groups, [torch.tensor([2, 0]), torch.tensor([1])])
    assert left["conv"].tolist() == [2, 0]
    assert left["fc"].tolist() == [[9 + 4, 9 + 5, 9 + 0, 9 + 1, 9 + 6, 9 + 8]]
    assert left["free"].tolist() == [1] * 4


def test_channels_without_a_plain_place_are_counted_on_an_axis_of_their_own() -> None:
    own = SharedAxis(tensor="conv", axis=0, parts=(Part(0, 4), Part(None, 2), Part(0, 1)))
    group = ChannelGroup(block=0, batch_norm=None, ties=(), shared=(own,))
    assert channel_counts({"conv": torch.ones(17)}, [group]) == {0: 3}
