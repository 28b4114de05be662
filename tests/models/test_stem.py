import copy

import pytest
import torch
from torch import Tensor, nn

import models.stem
from models.stem import Stem

FORMATS = [torch.channels_last, torch.contiguous_format]


@pytest.fixture(autouse=True)
def one_image_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.stem, "_CHUNK_VALUES", 1)


def stem(outputs: int = 5, dtype: torch.dtype = torch.float64) -> Stem:
    """A stem with scales of both signs, and shifts for which some values reach ReLU6's ends."""
    made = Stem(outputs).to(dtype)
    with torch.no_grad():
        made[1].weight.copy_(2 * torch.randn(outputs))
        made[1].bias.copy_(torch.linspace(-1, 5, outputs))
    return made


def library(net: Stem) -> nn.Sequential:
    """The same layers one after another."""
    return nn.Sequential(*copy.deepcopy(net))


def outcome(net: nn.Sequential, images: Tensor, upstream: Tensor) -> list[Tensor]:
    output = net(images)
    output.backward(upstream)
    return [output.detach(), *net.buffers(), *(tensor.grad for tensor in net.parameters())]


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (17, 17), (5, 12)])
@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_outputs_gradients_and_statistics_are_those_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    together: int,
    memory_format: torch.memory_format,
) -> None:
    monkeypatch.setattr(models.stem, "_CHUNK_VALUES", together * 5 * size[0] * size[1])
    torch.manual_seed(0)
    net = stem()
    reference = library(net)
    images = torch.rand(7, 3, *size, dtype=torch.float64).to(memory_format=memory_format)
    upstream = torch.randn(7, 5, size[0] // 2, size[1] // 2, dtype=torch.float64)
    for _ in range(2):
        for mine, theirs in zip(
            outcome(net, images, upstream), outcome(reference, images, upstream), strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
    assert torch.equal(net[0].bias.grad, torch.zeros(5))


def test_single_precision_is_as_near_to_double_as_the_librarys() -> None:
    """Bright images, whose mean is far from zero beside their deviation.

    The gradient of the scale is a difference of sums here, and compared with the library's worst.
    """
    torch.manual_seed(0)
    net = stem()
    images = 0.9 + 0.1 * torch.rand(8, 3, 64, 64, dtype=torch.float64)
    upstream = torch.randn(8, 5, 32, 32, dtype=torch.float64)
    exact = outcome(library(net), images, upstream)

    def errors(single: nn.Sequential) -> list[float]:
        """Of output, mean, variance, and the gradients of weights, scale and shift."""
        made = outcome(single.float(), images.float(), upstream.float())
        pairs = [(made[index], exact[index]) for index in (0, 1, 2, 4, 6, 7)]
        return [float(((mine - true).norm() / true.norm()).detach()) for mine, true in pairs]

    theirs = errors(library(net))
    mine = errors(net)
    for index in (0, 1, 2, 3, 5):
        assert mine[index] <= 4 * theirs[index]
    assert mine[4] <= 4 * max(theirs)


def test_a_scale_of_zero_leaves_the_shift() -> None:
    net = stem()
    with torch.no_grad():
        net[1].weight.zero_()
    output = net(torch.rand(3, 3, 8, 8, dtype=torch.float64))
    shift = net[1].bias.detach().clamp(0, 6)[:, None, None]
    assert torch.equal(output, shift.expand_as(output))
    output.sum().backward()
    assert torch.equal(net[0].weight.grad, torch.zeros_like(net[0].weight))
    assert torch.isfinite(net[1].weight.grad).all()


def test_images_of_one_colour_train() -> None:
    """A variance of zero, or less by rounding, is none."""
    net = stem(dtype=torch.float32)
    output = net(torch.full((4, 3, 6, 6), 0.3))
    output.sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in net.parameters())


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_move_without_gradients_as_the_librarys_do(momentum: float | None) -> None:
    net = stem()
    net[1].momentum = momentum
    reference = library(net)
    with torch.no_grad():
        for _ in range(3):
            images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
            torch.testing.assert_close(net(images), reference(images))
    for mine, theirs in zip(net.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_in_evaluation_it_is_the_library() -> None:
    net = stem().eval()
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(net(images), library(net)(images))


def test_a_batch_that_is_one_chunk_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.stem, "_CHUNK_VALUES", 4 * 5 * 8 * 8)
    net = stem()
    reference = library(net)
    images, upstream = torch.rand(4, 3, 8, 8).double(), torch.randn(4, 5, 4, 4).double()
    mine, theirs = outcome(net, images, upstream), outcome(reference, images, upstream)
    assert all(map(torch.equal, mine, theirs))


def test_images_that_need_a_gradient_get_one() -> None:
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    stem()(images).sum().backward()
    assert images.grad is not None
