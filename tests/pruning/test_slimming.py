"""Channel surgery, held against independent statements of what it must do."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from models import StudentNet
from pruning import (
    Importance,
    TransplantError,
    keep_channels,
    slim,
    transplant,
)
from pruning.importance import response
from tests.pruning.networks import architecture_of, random_net

WIDTHS = st.lists(st.integers(1, 9), min_size=8, max_size=8)


def narrower(channels: list[int], data: st.DataObject) -> list[int]:
    kept = [data.draw(st.integers(1, count)) for count in channels[:-1]]
    return [*kept, channels[-1]]


@given(channels=WIDTHS, seed=st.integers(0, 99))
def test_same_widths_give_the_same_function(channels: list[int], seed: int) -> None:
    net = random_net(channels, seed).double()
    slimmed = slim(net, architecture_of(net), channels).double()
    # Slimming copies into a single-precision net; compare with the rounded original.
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(slimmed(images), net.float().double()(images))


@given(channels=WIDTHS, seed=st.integers(0, 99), data=st.data())
def test_pruned_net_equals_wide_net_with_silenced_channels(
    channels: list[int], seed: int, data: st.DataObject
) -> None:
    """Depthwise convolution, batch norm and ReLU6 act on each channel alone, so a channel of
    block j speaks to later layers only through its column of block j+1's pointwise weight.
    With those columns zero the wide net computes what the pruned one does. The sums have other
    lengths, so outputs are equal up to rounding (hence double precision), not bit by bit.
    """
    net = random_net(channels, seed)
    target = narrower(channels, data)
    slimmed = slim(net, architecture_of(net), target)
    silenced = random_net(channels, seed)
    for block in range(1, 8):
        gamma = net.get_submodule(f"cnn.{block}.1").weight.detach()
        dropped = gamma.abs().argsort(descending=True, stable=True)[target[block - 1] :]
        pointwise = silenced.get_submodule(f"cnn.{block}.3")
        pointwise.weight.data[:, dropped] = 0
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(slimmed.double()(images), silenced.double()(images))


@given(channels=WIDTHS, seed=st.integers(0, 99), data=st.data())
def test_outputs_of_the_last_block_go_by_the_norms_of_the_weights_around_them(
    channels: list[int], seed: int, data: st.DataObject
) -> None:
    """The pruned net computes what the wide one does with the others' classifier columns zero."""
    net, silenced = random_net(channels, seed), random_net(channels, seed)
    left = data.draw(st.integers(1, channels[-1]))
    slimmed = slim(net, architecture_of(net, "all"), [*channels[:-1], left])
    made = net.get_submodule("cnn.7.3").weight.detach().flatten(1)
    read = net.fc[0].weight.detach()
    norms = [float(made[one].norm() * read[:, one].norm()) for one in range(channels[-1])]
    for dropped in sorted(range(channels[-1]), key=norms.__getitem__)[: channels[-1] - left]:
        silenced.fc[0].weight.data[:, dropped] = 0
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(slimmed.double()(images), silenced.double()(images))


def test_all_blocks_may_be_pruned() -> None:
    full = (16, 32, 64, 128, 256, 256, 256, 256)
    net = StudentNet(channels=full)
    everywhere, notebook = (architecture_of(net, prune) for prune in ("all", "notebook"))
    for width, early, late in ((1, 1, 1), (0.5, 1, 0.5), (0.1, 1, 0.1), (0.05, 0.5, 0.05)):
        expected = [*(int(n * early) for n in full[:3]), *(int(n * late) for n in full[3:])]
        assert everywhere.channels_at(width) == tuple(expected)
        assert notebook.channels_at(width) == (*full[:3], *expected[3:7], 256)
    assert everywhere.channels_at(0) == (1,) * 8
    assert everywhere.channels_at(0.5, of=(4,) * 8) == (4, 4, 4, 2, 2, 2, 2, 2)


def test_late_blocks_may_be_pruned_to_as_many_channels_each() -> None:
    full = (16, 32, 64, 128, 256, 256, 256, 256)
    net = StudentNet(channels=full)
    even, alike = (architecture_of(net, prune) for prune in ("even", "all"))
    assert even.channels_at(1) == full
    assert even.channels_at(0.75) == (*full[:4], 192, 192, 192, 192)
    for width, late in ((0.25, 64), (0.05, 12), (3 / 256, 3), (1 / 256, 1)):
        assert even.channels_at(width) == (*alike.channels_at(width)[:3], *(late,) * 5)
    assert even.channels_at(0) == (1,) * 8
    assert even.channels_at(0.5, of=(4, 4, 4, 3, 8, 5, 4, 2)) == (4, 4, 4, 3, 4, 4, 4, 2)


def notebook_slimming(wide: StudentNet, narrow: StudentNet) -> dict[str, Tensor]:
    """The notebook's outcome, said tensor by tensor: which rows and columns each one keeps.

    kept[i] are the channels that enter block i: those with the largest signed γ of its batch
    norm, in descending order. Block 0's batch norm is never asked; its own outputs are kept[1].
    """
    old = wide.state_dict()
    kept = {
        block: sorted(
            range(wide.channels[block - 1]), key=lambda c: -old[f"cnn.{block}.1.weight"][c].item()
        )[: narrow.channels[block - 1]]
        for block in range(1, 8)
    }
    new = {"fc.0.weight": old["fc.0.weight"], "fc.0.bias": old["fc.0.bias"]}
    for block in range(8):
        inside = kept[max(block, 1)]
        for name, tensor in old.items():
            layer, _, kind = name.removeprefix(f"cnn.{block}.").partition(".")
            if not name.startswith(f"cnn.{block}."):
                continue
            if tensor.ndim == 0:
                new[name] = tensor
            elif layer in ("0", "1"):
                new[name] = tensor[inside]
            elif block == 7:
                new[name] = tensor[:, inside] if kind == "weight" else tensor
            else:
                rows = tensor[kept[block + 1]]
                new[name] = rows[:, inside] if kind == "weight" else rows
    return new


@pytest.mark.parametrize("width_mult", [1.0, 0.95, 0.5, 0.1])
def test_signed_gamma_gives_the_notebooks_tensors(width_mult: float) -> None:
    net = random_net(StudentNet(base=4).channels, seed=3)
    narrow = StudentNet(base=4, width_mult=width_mult, num_classes=5)
    slimmed = slim(net, architecture_of(net), narrow.channels, "signed-gamma")
    expected = notebook_slimming(net, narrow)
    assert slimmed.state_dict().keys() == expected.keys()
    for name, tensor in slimmed.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize(
    ("importance", "kept"), [("gamma", [1, 3, 2]), ("signed-gamma", [3, 2, 0])]
)
def test_ranking(importance: Importance, kept: list[int]) -> None:
    net = random_net([1, 1, 1, 4, 1, 1, 1, 2], seed=0)
    net.get_submodule("cnn.4.1").weight.data = torch.tensor([0.1, -9.0, 0.5, 0.7])
    slimmed = slim(net, architecture_of(net), [1, 1, 1, 3, 1, 1, 1, 2], importance)
    assert slimmed.get_submodule("cnn.4.1").weight.tolist() == [
        net.get_submodule("cnn.4.1").weight[index] for index in kept
    ]


def test_a_channel_counts_by_what_leaves_its_activation() -> None:
    """With the truncated Gaussian's moments as oracle; flat sides of ReLU6 tell nothing."""
    scale = torch.tensor([0.1, -9.0, 0.5, 0.7, 2.0, 1.0], dtype=torch.float64)
    shift = torch.tensor([0.2, 3.0, -4.0, 8.0, 0.0, 6.0], dtype=torch.float64)
    expected = [relu6_deviation(*of) for of in zip(scale.tolist(), shift.tolist(), strict=True)]
    found = response(scale, shift, F.relu6)
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0.02, atol=4e-3)
    plain = response(scale, shift, None)
    torch.testing.assert_close(plain / plain[-1], scale.abs())

    net = random_net([1, 1, 1, 6, 1, 1, 1, 2], seed=0)
    norm = net.get_submodule("cnn.4.1")
    norm.weight.data, norm.bias.data = scale.float(), shift.float()
    slimmed = slim(net, architecture_of(net), [1, 1, 1, 3, 1, 1, 1, 2], "response")
    best = sorted(range(6), key=lambda channel: -expected[channel])[:3]
    assert slimmed.get_submodule("cnn.4.1").bias.tolist() == [shift[one] for one in best]
    assert best == [1, 4, 5]


def relu6_deviation(scale: float, shift: float) -> float:
    """Of min(max(X, 0), 6) for a Gaussian X, in closed form."""
    deviation = abs(scale)
    low, high = -shift / deviation, (6 - shift) / deviation
    inside = stats.norm.cdf(high) - stats.norm.cdf(low)
    slope = stats.norm.pdf(low) - stats.norm.pdf(high)
    mean = shift * inside + deviation * slope + 6 * stats.norm.sf(high)
    square = (shift**2 + deviation**2) * inside + 36 * stats.norm.sf(high)
    square += deviation * (shift * stats.norm.pdf(low) - (shift + 6) * stats.norm.pdf(high))
    return math.sqrt(max(0.0, square - mean**2))


def test_equal_scores_keep_the_lower_index() -> None:
    (kept,) = keep_channels([torch.tensor([1.0, 2.0, 1.0, 2.0])], [3])
    assert kept.tolist() == [1, 3, 0]


def test_every_tensor_of_the_state_dict_is_tied_to_its_block() -> None:
    """The state dict's order plays no part: a net that lists its tensors backwards slims alike."""
    net = random_net(StudentNet(base=2).channels, seed=1)
    architecture = architecture_of(net)
    backwards = random_net(net.channels, seed=1)
    order = list(reversed(net.state_dict()))
    backwards.state_dict = lambda *_, **__: {  # type: ignore[method-assign]
        name: nn.Module.state_dict(backwards)[name] for name in order
    }
    target = architecture.channels_at(0.5)
    expected = slim(net, architecture, target).state_dict()
    for name, tensor in slim(backwards, architecture, target).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_source_is_left_as_it_is() -> None:
    net = random_net(StudentNet(base=2).channels, seed=1)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    slimmed = slim(net, architecture_of(net), architecture_of(net).channels_at(0.5))
    for tensor in slimmed.state_dict().values():
        if tensor.is_floating_point():
            tensor.zero_()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_wider_target_is_refused() -> None:
    net = random_net([2] * 8, seed=0)
    with pytest.raises(TransplantError, match="3 channels were asked of a group that has 2"):
        slim(net, architecture_of(net), [2, 2, 2, 3, 2, 2, 2, 2])


def test_another_number_of_last_channels_is_refused() -> None:
    net = random_net([2] * 8, seed=0)
    with pytest.raises(TransplantError, match=r"cnn\.7\.3"):
        slim(net, architecture_of(net), [2, 2, 2, 2, 2, 2, 2, 1])


def test_a_selection_that_does_not_fit_is_refused() -> None:
    net = random_net([2] * 8, seed=0)
    groups = architecture_of(net).groups()
    kept = [torch.tensor([0])] * len(groups)
    with pytest.raises(TransplantError, match="needs"):
        transplant(net, random_net([2] * 8, seed=1), groups, kept)
