"""StudentNet, the depthwise-separable classifier of the notebook, and its costs in closed form."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from models.layers import Depthwise, Pointwise
from models.stem import Stem

_MULTIPLIERS = (1, 2, 4, 8, 16, 16, 16, 16)
_SCALED = range(3, 7)  # the blocks whose width `width_mult` scales
_POOLED = range(4)  # the blocks that halve the resolution
_KERNEL = 3


def student_channels(base: int = 16, width_mult: float = 1.0) -> tuple[int, ...]:
    """Output channels of the eight blocks.

    Args:
        base: Channels of the first block; later blocks have fixed multiples of it.
        width_mult: Scales blocks 3 to 6, truncating as the notebook does, to at least one channel.

    Source: notebook, `StudentNet.__init__`.
    """
    channels = [base * multiplier for multiplier in _MULTIPLIERS]
    for block in _SCALED:
        channels[block] = max(1, int(channels[block] * width_mult))
    return tuple(channels)


class StudentNet(nn.Module):
    """Eight convolution blocks, global average pooling and one linear layer.

    Block 0 is an ordinary convolution; blocks 1 to 7 are depthwise 3x3, batch norm, ReLU6,
    pointwise. Blocks 0 to 3 end in a 2x2 max-pool, so an image needs at least 16 pixels a side.
    The state-dict keys are the notebook's: `cnn.{block}.{0,1,3}.*` and `fc.0.*`.

    Args:
        base: Channels of the first block.
        width_mult: Width of blocks 3 to 6 relative to the full network.
        num_classes: Size of the output.
        channels: The eight blocks' channels, in place of `base` and `width_mult`.

    Shapes:
        Input (N, 3, H, W) with H, W >= 16; output (N, num_classes), unnormalised logits.

    Raises:
        ValueError: `channels` is not eight positive numbers.

    Source: notebook, `StudentNet`.
    """

    def __init__(
        self,
        base: int = 16,
        width_mult: float = 1.0,
        num_classes: int = 11,
        *,
        channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        widths = student_channels(base, width_mult) if channels is None else tuple(channels)
        if len(widths) != len(_MULTIPLIERS) or min(widths) < 1:
            raise ValueError(f"StudentNet needs eight positive channel counts, got {widths}")
        self.channels = widths
        self.num_classes = num_classes
        blocks: list[nn.Module] = [Stem(widths[0])]
        blocks += [
            _separable(inputs, outputs, pooled=block in _POOLED)
            for block, (inputs, outputs) in enumerate(pairwise(widths), start=1)
        ]
        self.cnn = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d((1, 1)))
        self.fc = nn.Sequential(nn.Linear(widths[-1], num_classes))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:  # noqa: N803  (axes)
        """Logits (N, num_classes) of images (N, 3, H, W)."""
        logits: torch.Tensor = self.fc(self.cnn(images_NCHW).flatten(1))
        return logits


def _separable(inputs: int, outputs: int, *, pooled: bool) -> nn.Sequential:
    return nn.Sequential(
        Depthwise(inputs),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        Pointwise(inputs, outputs),
        *([nn.MaxPool2d(2)] if pooled else []),
    )


def parameter_count(channels: Sequence[int], num_classes: int) -> int:
    """Trainable parameters of a StudentNet with these block channels (buffers not counted)."""
    taps = _KERNEL**2
    stem = channels[0] * (3 * taps + 1 + 2)  # weight, bias; batch-norm scale and shift
    separable = sum(
        inputs * (taps + 1 + 2) + outputs * (inputs + 1) for inputs, outputs in pairwise(channels)
    )
    return stem + separable + num_classes * (channels[-1] + 1)


def multiply_adds(channels: Sequence[int], num_classes: int, image_size: int) -> int:
    """Multiply-add operations of one forward pass of one square image.

    Convolutions and the linear layer count; biases, batch norm, activations and pooling do not.

    Args:
        channels: The eight blocks' channels.
        num_classes: Size of the output.
        image_size: Side of the image in pixels.
    """
    taps = _KERNEL**2
    side = image_size
    total = 3 * taps * channels[0] * side**2
    for block, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        if block - 1 in _POOLED:
            side //= 2
        total += inputs * (taps + outputs) * side**2
    return total + channels[-1] * num_classes
