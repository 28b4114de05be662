"""The two convolutions of a separable block, in forms that are fast on a CPU at tiny resolutions.

A search trains StudentNets on small images, whose late blocks see maps of 1 to 8 pixels a side.
There the library's convolutions spend more time on preparing than on computing. Same parameters,
same outputs and gradients up to rounding as `nn.Conv2d`. They are one part of what
`experiments/speed/throughput.py` compares with the notebook's loop. A network that is exported has
the library's convolutions, which other runtimes know best.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KERNEL = 3
_LARGEST_LINEAR = 8  # sides of maps up to which the other forms are faster, as measured
_LARGEST_BY_PAIRS = 2


class Pointwise(nn.Conv2d):
    """A 1x1 convolution; on small maps a linear layer over the channels of each pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803
        """(N, outputs, H, W) of (N, inputs, H, W)."""
        if not _tiny(images_NCHW, _LARGEST_LINEAR):
            return super().forward(images_NCHW)
        pixels_NHWC = images_NCHW.permute(0, 2, 3, 1)  # noqa: N806
        return F.linear(pixels_NHWC, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class Depthwise(nn.Conv2d):
    """A padded 3x3 convolution of each channel by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, _KERNEL, padding=1, groups=channels)

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803
        """(N, channels, H, W) of the same."""
        by_pairs = torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        if not (by_pairs and _tiny(images_NCHW, _LARGEST_BY_PAIRS)):
            return super().forward(images_NCHW)
        convolved: Tensor = _ByPairs.apply(images_NCHW, self.weight, self.bias)
        return convolved


class _ByPairs(torch.autograd.Function):
    """A depthwise convolution whose weights' gradient comes from all pairs of pixels.

    On a map so small that each pixel is a neighbour of each, every product of an output's gradient
    and an input belongs to one weight.
    """

    @staticmethod
    def forward(ctx: Any, images_NCHW: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: N803
        ctx.save_for_backward(images_NCHW, weight)
        return F.conv2d(images_NCHW, weight, bias, padding=1, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (of_output,) = gradients
        images, weight = ctx.saved_tensors
        # A convolution's transpose is the convolution with the kernel turned around.
        of_images = F.conv2d(of_output, weight.flip(2, 3), padding=1, groups=len(weight))
        outputs, inputs = (maps.permute(0, 2, 3, 1).flatten(1, 2) for maps in (of_output, images))
        of_pairs = (outputs[:, :, None] * inputs[:, None]).sum(0)
        of_taps = images.new_zeros(_KERNEL**2, len(weight))
        of_taps.index_add_(0, _taps(*images.shape[2:]), of_pairs.flatten(0, 1))
        return of_images, of_taps.T.reshape(weight.shape), of_output.sum((0, 2, 3))


@cache
def _taps(height: int, width: int) -> Tensor:
    """Which weight of a 3x3 kernel leads from a pixel to another, for outputs times inputs."""
    pixels = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    steps = pixels[None] - pixels[:, None] + _KERNEL // 2
    return (steps[..., 0] * _KERNEL + steps[..., 1]).flatten()


def _tiny(images_NCHW: Tensor, side: int) -> bool:  # noqa: N803
    exported = torch.compiler.is_exporting()
    on_cpu = images_NCHW.device.type == "cpu"
    return on_cpu and not exported and max(images_NCHW.shape[2:]) <= side
