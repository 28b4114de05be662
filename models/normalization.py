"""Networks that normalise their images themselves, so that nobody else needs to know how."""

from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

_Net = TypeVar("_Net", bound=nn.Module)
_MEAN, _STD = "_normalization_mean", "_normalization_std"

Colour: TypeAlias = tuple[float, float, float]
"""A value each of red, green and blue, as shares of 255."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalization:
    """What is subtracted from RGB images divided by 255, and by what they are then divided."""

    mean: Colour
    std: Colour

    @property
    def numbers(self) -> tuple[float, float, float, float, float, float]:
        """Mean, then deviation."""
        return (*self.mean, *self.std)

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in of) for of in (self.mean, self.std))
        return f"mean {mean}, standard deviation {std}"


IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of most networks that were trained on ImageNet."""


def normalized(net: _Net, normalization: Normalization | None) -> _Net:
    """Have a network normalise its images first; None leaves it as it is.

    The names of its state dict stay: mean and deviation are buffers that are not saved, and a
    hook before its forward pass uses them. `torch.export` and `torch.onnx.export`, `torch.compile`
    and `torch.jit.trace`, copies and pickles of the network have it with them;
    `torch.fx.symbolic_trace` does not, as it passes over all hooks.

    Returns:
        `net`.
    """
    if normalization is not None:
        for name, of in ((_MEAN, normalization.mean), (_STD, normalization.std)):
            net.register_buffer(name, torch.tensor(of).view(3, 1, 1), persistent=False)
        net.register_forward_pre_hook(_normalize)
    return net


def _normalize(net: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    images, *further = inputs
    mean: Tensor = getattr(net, _MEAN)
    std: Tensor = getattr(net, _STD)
    return ((images - mean) / std, *further)
