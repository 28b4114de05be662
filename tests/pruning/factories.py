"""Networks that others wrote, and such as a user would write, built from the root's widths."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from models import StudentNet


@dataclass(frozen=True)
class Torchvision:
    """A network of torchvision for ten classes."""

    name: str

    def build(self) -> nn.Module:
        several_outputs = self.name in ("googlenet", "inception_v3")
        further = {"aux_logits": False, "init_weights": False} if several_outputs else {}
        net: nn.Module = torchvision.models.get_model(self.name, num_classes=10, **further)
        return net


@dataclass(frozen=True)
class Called:
    """What a function of this module gives."""

    function: Callable[[], nn.Module]

    def build(self) -> nn.Module:
        return self.function()


def conv(inputs: int, outputs: int, kernel: int = 3, **further: int) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **further)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Handmade(nn.Module):
    """Of all that is hard: a concatenation of the same maps twice and of the input's, convolutions
    in few and in many groups, squeeze and excitation, a learned scale, a flattened map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv(3, 6), conv(3, 10)
        self.few_groups = conv(25, 12, 1)
        self.grouped = nn.Sequential(conv(12, 24, groups=2), conv(24, 24, groups=8))
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(24, 5, 1),
            nn.PReLU(5),
            nn.Conv2d(5, 24, 1),
            nn.Sigmoid(),
        )
        self.scale = nn.Parameter(torch.rand(24, 1, 1) + 0.5)
        self.up = nn.ConvTranspose2d(24, 8, 2, stride=2)
        self.head = nn.Sequential(
            nn.GroupNorm(8, 8),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(),
            nn.Linear(72, 14),
            nn.BatchNorm1d(14),
            nn.PReLU(),
            nn.Linear(14, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        left = self.left(images)
        maps = self.few_groups(torch.cat([left, images, self.right(images), left], 1))
        maps = self.grouped(maps)
        maps = maps * self.squeeze(maps) * self.scale
        logits: Tensor = self.head(self.up(maps))
        return logits


class Shuffled(nn.Module):
    """Channels change places between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, 8), conv(8, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        count, channels, height, width = maps.shape
        halves = maps.view(count, 2, channels // 2, height, width)
        mixed = halves.transpose(1, 2).reshape(count, channels, height, width)
        logits: Tensor = self.fc(self.second(mixed).mean((2, 3)))
        return logits


class Interleaved(nn.Module):
    """Needs channels in fours, which become pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.fc = conv(3, 16), nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        pixels = nn.functional.pixel_shuffle(self.maps(images), 2)
        logits: Tensor = self.fc(pixels.mean((2, 3)))
        return logits


class Split(nn.Module):
    """Takes channels by number: they stay, and all others can go."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(3, 8), conv(4, 6)
        self.fc = nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        gate, maps = self.first(images).split(4, dim=1)
        logits: Tensor = self.fc(self.second(maps * gate).mean((2, 3)))
        return logits


class TwoOutputs(nn.Module):
    """Gives more in training, as networks with auxiliary classifiers do."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.fc = conv(3, 8), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits: Tensor = self.fc(self.maps(images).mean((2, 3)))
        return (logits, logits) if self.training else logits


class ByBatch(TwoOutputs):
    """Flattens the images of a batch together."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).flatten()[None]  # type: ignore[union-attr]


class Twice(TwoOutputs):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.fc


class AllOut(nn.Module):
    """Nothing but its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(images.mean((2, 3)))
        return logits


class LooksAtWeights(nn.Module):
    """Needs values of tensors when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.fc = conv(3, 8), nn.Linear(8, 10)
        self.rate = torch.linspace(0, 1, 3)[1].item()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.rate * self.maps(images).mean((2, 3)))
        return logits


class LooksAtImages(TwoOutputs):
    """Needs values of tensors when it runs."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.max().item() < 2
        logits: Tensor = self.fc(self.maps(images).mean((2, 3)))
        return logits


class WrongSize(TwoOutputs):
    """Was written for images of another size."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.maps(images).flatten(1))
        return logits


def student() -> StudentNet:
    return StudentNet(base=4, num_classes=10)
