"""The first block of a StudentNet, trained on a CPU without ever holding its full-size maps.

The maps between the first convolution and its pooling are the largest of the network, four times
those of any other block, and batch norm reads and writes them again and again: of a training step
at 256 pixels a side that was half. Here a few images at a time are convolved and pooled while
their maps are in the processor's cache. What batch norm needs to know of all maps follows from
sums over the patches that the convolution sees. A batch so small that it is one chunk, such as 32
images of 32 pixels a side, gains nothing by it, and is left to the library.

Let p be a patch of 3x3x3 values, of which a batch has N; z = W p + b a channel of the convolution,
and x = (z - mean z) / sigma; d the gradient of gamma x + beta. Sums are over all patches.

- The mean of z is W s / N + b, with s = sum p.
- With K = sum (z - mean z) p, the variance of z is W K / N.
- The gradient of z is (gamma / sigma) (d - sum d / N - x sum(d x) / N). So that of W is
  (gamma / sigma) (P - s sum d / N - K sum(d x) / (sigma N)), with P = sum d p, for which
  d is needed where pooling chose a value, and is zero elsewhere.
- The gradient of gamma is sum(d x) = (W P - (mean z - b) sum d) / sigma, that of beta sum d.

K and P are what a convolution's gradient with respect to its weights is. Batch norm's scale is
applied after pooling, to a quarter of the values: it changes which of four values is the largest
only if it is negative, and then the signs of the weights are turned beforehand.

Batch norm and its gradient: Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167,
algorithm 1 and section 3.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_KERNEL = 3
_POOL = 2
_CEILING = 6.0  # of ReLU6
_CHUNK_VALUES = 2**20  # of the maps that are worked on at a time: 4 MiB of float32


class Stem(nn.Sequential):
    """Padded 3x3 convolution of RGB images, batch norm, 2x2 max-pool, ReLU6.

    Pooling comes before ReLU6, which never changes which of four values is the largest: the same
    outputs and gradients as the notebook's order, from a quarter of the elements.

    In chunks the gradient of the convolution's bias, which batch norm takes off again, is exactly
    zero; the library's is what rounding leaves of zero.

    Args:
        outputs: Channels of the convolution.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(3, outputs, _KERNEL, padding=1),
            nn.BatchNorm2d(outputs),
            nn.MaxPool2d(_POOL),
            nn.ReLU6(),
        )

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803
        """(N, outputs, H // 2, W // 2) of images (N, 3, H, W)."""
        convolution: Any = self[0]
        norm = self[1]
        in_chunks = (
            self.training
            and images_NCHW.device.type == "cpu"
            and not torch.is_autocast_enabled("cpu")
            and not images_NCHW.requires_grad
            and len(_spans(images_NCHW, convolution.out_channels)) > 1
        )
        if not in_chunks:
            return super().forward(images_NCHW)  # type: ignore[no-any-return, no-untyped-call]
        output, mean, variance = _InChunks.apply(
            images_NCHW, convolution.weight, convolution.bias, norm.weight, norm.bias, norm.eps
        )
        _move_statistics(norm, mean, variance, _count_patches(images_NCHW))
        return output  # type: ignore[no-any-return]


def _move_statistics(norm: Any, mean: Tensor, variance: Tensor, count: int) -> None:
    """What batch norm does in training with the mean and biased variance of `count` values."""
    norm.num_batches_tracked += 1
    share = norm.momentum
    if share is None:  # the plain average over batches
        share = 1 / norm.num_batches_tracked.item()
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * (count / (count - 1)), share)


class _InChunks(torch.autograd.Function):
    """The stem's output, and mean and biased variance of its convolution's."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, patches = _count_patches(images), _sum_of_patches(images)
        mean = weight.flatten(1).double() @ patches / count
        sign = torch.where(gamma < 0, -1.0, 1.0).to(gamma)
        turned = weight * sign[:, None, None, None]
        offset = (-sign * mean).to(weight)
        products = torch.zeros_like(weight)
        pooled, chosen = [], []
        spans = _spans(images, len(weight))
        for span in spans:
            maps = F.conv2d(images[span], turned, offset, padding=1)
            products += _sum_of_products(maps, images[span], weight)
            values, indices = F.max_pool2d(maps, _POOL, return_indices=True)
            pooled.append(values)
            chosen.append(indices)
        # The mean that is left of the maps, for want of digits in the offset.
        products -= torch.outer(sign * mean + offset, patches).view_as(weight)
        variance = ((turned * products).sum((1, 2, 3)) / count).clamp_min_(0)
        deviation = (variance + eps).sqrt_()
        scale, shift = (gamma.abs() / deviation)[:, None, None], beta[:, None, None]
        output = _channels_last(len(images), pooled[0])
        for span, values in zip(spans, pooled, strict=True):
            torch.addcmul(shift, values, scale, out=output[span]).clamp_(0, _CEILING)
        products *= sign[:, None, None, None]
        mean, patches = mean.to(weight), patches.to(weight)
        full_mean = mean + bias
        ctx.save_for_backward(
            images, weight, gamma, output, mean, deviation, patches, products, *chosen
        )
        ctx.mark_non_differentiable(full_mean, variance)
        return output, full_mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, gamma, output, mean, deviation, patches, products, *chosen = (
            ctx.saved_tensors
        )
        upstream, count = gradients[0], _count_patches(images)
        of_beta = torch.zeros_like(gamma)
        of_weight = torch.zeros_like(weight)
        for span, indices in zip(_spans(images, len(weight)), chosen, strict=True):
            passed = torch.ops.aten.hardtanh_backward(upstream[span], output[span], 0, _CEILING)
            of_beta += passed.sum((0, 2, 3))
            maps = F.max_unpool2d(passed, indices, (_POOL, _POOL), output_size=images.shape[2:])
            of_weight += _sum_of_products(maps, images[span], weight)
        of_gamma = ((weight * of_weight).sum((1, 2, 3)) - mean * of_beta) / deviation
        of_weight -= torch.outer(of_beta / count, patches).view_as(weight)
        of_weight -= products * (of_gamma / (deviation * count))[:, None, None, None]
        of_weight *= (gamma / deviation)[:, None, None, None]
        return None, of_weight, torch.zeros_like(gamma), of_gamma, of_beta, None


def _spans(images: Tensor, channels: int) -> list[slice]:
    """A few images at a time, so few that their maps fit into a cache; at least one."""
    size = max(1, _CHUNK_VALUES // (channels * images[0, 0].numel()))
    return [slice(start, start + size) for start in range(0, len(images), size)]


def _count_patches(images: Tensor) -> int:
    """How many patches a padded convolution sees: one a pixel."""
    return len(images) * images[0, 0].numel()


def _sum_of_patches(images: Tensor) -> Tensor:
    """(27,), in double precision: what a weight is multiplied with, over all patches."""
    height, width = images.shape[2:]
    total = images.permute(0, 2, 3, 1).sum(0)  # in the order of memory: three times as fast
    padded = F.pad(total.permute(2, 0, 1).double(), (1, 1, 1, 1))
    return padded.unfold(1, height, 1).unfold(2, width, 1).sum((-2, -1)).flatten()


def _sum_of_products(maps: Tensor, images: Tensor, weight: Tensor) -> Tensor:
    """(channels, 3, 3, 3): the sum of patches, each times the value at its place in a map.

    It is what a convolution's backward pass makes of the gradient `maps`.
    """
    products: Tensor = torch.ops.aten.convolution_backward(
        maps, images, weight, [0], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False]
    )[1]
    return products


def _channels_last(count: int, like: Tensor) -> Tensor:
    """Room for `count` maps of the same shape."""
    shape = (count, *like.shape[1:])
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)
