"""Networks with what is seldom done to one: some can be pruned so, others must be refused."""

import functools
import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.pruning.factories import conv


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def plain() -> nn.Sequential:
    return nn.Sequential(conv(3, 8), conv(8, 12), *head(12))


class Reused(nn.Module):
    """A convolution that works twice, and one that reads what two others make."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.twice = conv(3, 8), conv(3, 8), conv(8, 8)
        self.both, self.fc = nn.Conv2d(8, 6, 1), nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        left = self.both(self.twice(self.twice(self.left(images))))
        right = self.both(self.right(images))
        logits: Tensor = self.fc(torch.cat([left, right], 1).relu().mean((2, 3)))
        return logits


def synchronised() -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(plain())


def group_norm_of_pairs() -> nn.Module:
    """At least as many groups as channels in each: whole groups are cut."""
    norm = nn.GroupNorm(8, 16)
    return nn.Sequential(nn.Conv2d(3, 16, 3), norm, nn.ReLU(), conv(16, 12), *head(12))


def group_norm_of_fours() -> nn.Module:
    """Fewer groups than channels in each: each group loses as many, and none is lost."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), *head(8))


def frozen_backbone() -> nn.Module:
    net = plain()
    net[:2].requires_grad_(False)
    return net


class InSingle(nn.Module):
    """Asks for single precision in the midst of its work."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.fc = conv(3, 8), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.maps(images).float().mean((2, 3)))
        return logits


def frozen() -> nn.Module:
    return plain().requires_grad_(False)


class WithoutGradients(InSingle):
    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)


def lazy() -> nn.Module:
    return nn.Sequential(*plain()[:-1], nn.LazyLinear(10))


def half() -> nn.Module:
    return plain().half()


def on_meta() -> nn.Module:
    return plain().to("meta")


def exported() -> nn.Module:
    return torch.export.export(plain().eval(), (torch.zeros(2, 3, 32, 32),)).module()


class Noted(nn.Linear):
    """Keeps something in its state dict that is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}


def noted() -> nn.Module:
    return nn.Sequential(*plain()[:-1], Noted(12, 10))


def traced() -> nn.Module:
    return torch.jit.trace(plain().eval(), torch.zeros(2, 3, 32, 32))


def scripted_part() -> nn.Module:
    net = plain()
    net[1] = torch.jit.script(net[1])
    return net


def weight_normed() -> nn.Module:
    net = plain()
    parametrizations.weight_norm(net[1][0])
    return net


def spectral_normed() -> nn.Module:
    net = plain()
    parametrizations.spectral_norm(net[1][0])
    return net


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maps, self.rows, self.fc = conv(3, 8), nn.LSTM(8, 6), nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        rows, _ = self.rows(self.maps(images).mean(3).permute(2, 0, 1))
        logits: Tensor = self.fc(rows[-1])
        return logits


class LinesOfAnError(InSingle):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("no\nway\nat all")


@functools.cache
def always_the_same() -> nn.Module:
    return plain()


_WIDTHS = itertools.count(4)


def always_another() -> nn.Module:
    width = next(_WIDTHS)
    return nn.Sequential(conv(3, width), *head(width))
