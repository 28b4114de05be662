"""Networks that their factory has wrapped, to run faster or on several GPUs."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.unwrapping import unwrapped


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 5, 3)))


def with_compiled_part() -> nn.Module:
    net = plain()
    net[1] = torch.compile(net[1])
    return net


def compiled_in_place() -> nn.Module:
    net = plain()
    net.compile()
    net[1].compile()
    return net


@pytest.mark.parametrize(
    "wrapped",
    [
        plain,
        lambda: torch.compile(plain()),
        with_compiled_part,
        compiled_in_place,
        lambda: nn.DataParallel(plain()),
        lambda: nn.DataParallel(torch.compile(with_compiled_part())),
    ],
)
def test_a_network_is_as_it_was_written(wrapped: Callable[[], nn.Module]) -> None:
    net = unwrapped(wrapped())
    assert list(net.state_dict()) == list(plain().state_dict())
    assert all(type(module).__module__.startswith("torch.nn.") for module in net.modules())
    assert all(module._compiled_call_impl is None for module in net.modules())
    assert net(torch.zeros(2, 3, 9, 9)).shape == (2, 5, 5, 5)


def test_tensors_without_memory_stay_so() -> None:
    assert all(parameter.is_meta for parameter in unwrapped(plain().to("meta")).parameters())
