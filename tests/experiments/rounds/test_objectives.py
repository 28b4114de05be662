"""What a network is trained for beside the labels, against the losses written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.instruments.student_runner import student_architecture
from experiments.rounds.objectives import (
    agreement,
    first_channels,
    sandwich,
    sparsity,
    trained_for,
)
from pruning import transplant

CLASSES = 5
ARCHITECTURE = student_architecture(CLASSES)
GROUPS = ARCHITECTURE.groups()
NARROW, NARROWER = ARCHITECTURE.channels_at(0.3), ARCHITECTURE.channels_at(0.1)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(1)
    built = ARCHITECTURE.build(ARCHITECTURE.channels_at(0.4)).double().train()
    for parameter in built.parameters():  # no β of 0, behind which nothing would show
        parameter.data += 0.3 * torch.randn_like(parameter)
    return built


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(2)
    images = torch.rand(12, 3, 16, 16, generator=draws, dtype=torch.float64)
    return images, torch.randint(CLASSES, (12,), generator=draws)


def slopes(net: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(net.parameters())))


def labels_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(net(batch[0]), batch[1])


def assert_alike(ours: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_teacher_s_outputs_beside_the_labels(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    teacher = ARCHITECTURE.build(ARCHITECTURE.channels).double().eval()
    with trained_for(net, agreement(teacher, 3.0), weight=0.7, labels=0.2):
        ours = slopes(net, labels_loss(net, batch))
    logits, taught = net(batch[0]), teacher(batch[0]).detach()
    softened = F.kl_div(
        F.log_softmax(logits / 3, 1), F.softmax(taught / 3, 1), reduction="batchmean"
    )
    loss = 0.2 * F.cross_entropy(logits, batch[1]) + 0.7 * 9 * softened
    assert_alike(ours, slopes(net, loss))


def test_small_scales_beside_the_labels(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    before = slopes(net, labels_loss(net, batch))
    with trained_for(net, sparsity(net, GROUPS), weight=0.01):
        ours = slopes(net, labels_loss(net, batch))
    scales = {f"{name}.weight" for group in GROUPS for name in group.norms}
    assert len(scales) == 7
    expected = [
        slope + 0.01 * parameter.detach().sign() if name in scales else slope
        for (name, parameter), slope in zip(net.named_parameters(), before, strict=True)
    ]
    assert_alike(ours, expected)


def test_the_first_channels_alone_are_the_network_of_these(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    kept = [torch.arange(NARROW[group.block]) for group in GROUPS]
    narrow = transplant(net, ARCHITECTURE.build(NARROW).double(), GROUPS, kept).train()
    with first_channels(net, GROUPS, NARROW):
        torch.testing.assert_close(net(batch[0]), narrow(batch[0]))


def test_a_sandwich_teaches_narrower_networks(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    objective = sandwich(net, GROUPS, lambda: [NARROW, NARROWER])
    with trained_for(net, objective, weight=1.0):
        ours = slopes(net, labels_loss(net, batch))
    logits = net(batch[0])
    loss, aims = F.cross_entropy(logits, batch[1]), logits.detach().softmax(1)
    for channels in (NARROW, NARROWER):
        with first_channels(net, GROUPS, channels):
            loss = loss + F.cross_entropy(net(batch[0]), aims)
    assert_alike(ours, slopes(net, loss))


def test_nothing_is_left_behind(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    before = slopes(net, labels_loss(net, batch))
    with trained_for(net, sparsity(net, GROUPS), weight=1.0), torch.no_grad():
        torch.testing.assert_close(net(batch[0]), net(batch[0]))
    with first_channels(net, GROUPS, NARROWER):
        pass
    assert_alike(slopes(net, labels_loss(net, batch)), before)
