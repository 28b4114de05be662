"""Fine-tuning and evaluation of one network."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from data import CropParameters, ImageData, Split, draw_crops, gather_center, gather_train
from pruning.errors import NonFiniteError
from pruning.layers import BATCH_NORMS

Precision: TypeAlias = Literal["fp32", "bf16"]
"""Of convolutions and matrix products; weights and their updates are float32 in either case."""

# Of the crops that are taken, and of those that are evaluated, in one go: on a CPU 512 images of
# 32 pixels a side, or 8 of 256.
_PIXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**23}
_CALIBRATION_IMAGES = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Mean cross-entropy (nats an image) and accuracy in [0, 1] over a split."""

    loss: float
    accuracy: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.loss) and math.isfinite(self.accuracy)):
            raise NonFiniteError(f"loss {self.loss}, accuracy {self.accuracy}")


def new_optimizer(net: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW for exactly this network.

    An optimizer belongs to the tensors it was built with: after channels are cut the network
    is another object, and needs another optimizer, or nothing is trained.
    """
    return torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay, fused=True)


def fine_tune(
    net: nn.Module,
    data: ImageData,
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    weight_decay: float,
    generator: torch.Generator,
    decay: bool = False,
    warm_up: float = 0.0,
    unaugmented: int = 0,
    precision: Precision = "fp32",
    on_epoch: Callable[[int, Metrics], None] | None = None,
) -> None:
    """Train `net` in place for some epochs.

    Args:
        net: The network; on the device of `data`.
        data: Images whose training split is drawn from.
        epochs: Passes over the training split; 0 leaves the network as it is.
        lr: Learning rate of AdamW, built anew here for the live network.
        batch_size: Images a step; the last step of an epoch may have fewer, never one.
        weight_decay: Decoupled weight decay.
        generator: On the CPU; the source of shuffling and augmentation.
        decay: Whether the learning rate falls linearly to 0, from step to step, or stays.
        warm_up: Share of the steps over which it rises from 0, as a factor of the above.
        unaugmented: How many epochs, the last ones, have images as evaluation sees them.
        precision: Of the arithmetic.
        on_epoch: Called after each epoch with its index and its running training metrics.

    Raises:
        NonFiniteError: The training loss of an epoch is not finite.
    """
    optimizer = new_optimizer(net, lr=lr, weight_decay=weight_decay)
    steps = epochs * len(_spans(len(data.train), batch_size))
    rising = max(1, int(warm_up * steps))

    def share_of_lr(step: int) -> float:
        return min(1.0, (step + 1) / rising) * (1 - step / steps if decay else 1.0)

    scheduler = LambdaLR(optimizer, share_of_lr) if steps else None
    for epoch in range(epochs):
        metrics = train_epoch(
            net,
            data,
            optimizer,
            batch_size=batch_size,
            generator=generator,
            augmented=epoch < epochs - unaugmented,
            precision=precision,
            scheduler=scheduler,
        )
        if on_epoch is not None:
            on_epoch(epoch, metrics)


def train_epoch(
    net: nn.Module,
    data: ImageData,
    optimizer: torch.optim.Optimizer,
    *,
    batch_size: int,
    generator: torch.Generator,
    augmented: bool = True,
    precision: Precision = "fp32",
    scheduler: LRScheduler | None = None,
) -> Metrics:
    """One pass over the training split in random order, every image augmented anew.

    Args:
        net: The network; on the device of `data`.
        data: Images whose training split is drawn from.
        optimizer: Of `net`.
        batch_size: Images a step; the last step may have fewer, never one.
        generator: On the CPU; the source of shuffling and augmentation.
        augmented: Whether images are augmented, or as evaluation sees them.
        precision: Of the arithmetic.
        scheduler: Of the learning rate, told of every step.

    Returns:
        Loss and accuracy as they were when each batch was trained on.

    Raises:
        NonFiniteError: The mean loss is not finite.

    Source: notebook, `run_epoch` with `update=True` and `trainTransform`.
    """
    net.train()
    train, size = data.train, data.image_size
    total = _Tally(train.labels.device)
    # Drawn and sent to the device for the whole epoch, so that no step waits for the host.
    order = torch.randperm(len(train), generator=generator).to(train.labels.device)
    crops = (
        draw_crops(
            train, order, size=size, padding=data.padding, flip=data.flip, generator=generator
        )
        if augmented
        else None
    )
    for indices, images in _batches(train, order, crops, size, batch_size):
        labels = train.labels[indices]
        with _arithmetic(images.device, precision):
            logits = net(_normalized(images))
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        total.add(loss.detach() * len(labels), logits.detach(), labels)
    return total.metrics(len(train))


def _batches(
    split: Split, order: Tensor, crops: CropParameters | None, size: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices and crops of each batch; of small images the crops of several are taken at once.

    Without parameters the crops are the images' middles.
    """
    spans = _spans(len(order), batch_size)
    together = max(1, _PIXELS_AT_ONCE[order.device.type] // (batch_size * size**2))
    for first in range(0, len(spans), together):
        some = spans[first : first + together]
        whole = slice(some[0].start, some[-1].stop)
        if crops is None:
            images = gather_center(split, order[whole], size)
        else:
            images = gather_train(split, order[whole], crops[whole], size)
        for span in some:
            yield order[span], images[span.start - whole.start : span.stop - whole.start]


@torch.no_grad()
def recalibrate(
    net: nn.Module, data: ImageData, *, generator: torch.Generator, precision: Precision = "fp32"
) -> None:
    """Take the statistics of all batch norms anew, from the crops that evaluation sees.

    After channels are cut the statistics are those of another network, and after training those
    of augmented images. Up to 2,048 random training images are passed through the network, and
    mean and variance become their plain averages over the batches. No weight changes.

    Args:
        net: The network, changed in place; on the device of `data`.
        data: Images whose training split is drawn from.
        generator: On the CPU; chooses the images.
        precision: Of the arithmetic.

    Source: Li et al., "EagleEye: fast sub-net evaluation for efficient neural network pruning",
    arXiv:2007.02491, section 3.3; measured by `experiments/rounds/recipe.py`.
    """
    norms = [module for module in net.modules() if isinstance(module, BATCH_NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    net.eval()  # what drops channels or blocks in training does not when the statistics are used
    for norm in norms:
        norm.train()
    chosen = torch.randperm(len(data.train), generator=generator)[:_CALIBRATION_IMAGES]
    # A forward pass is what moves the statistics of a norm in training mode.
    for batch, _ in enumerate(
        _forward(net, data.train, chosen, data.image_size, precision), start=1
    ):
        for norm in norms:  # by itself, a plain average reads its counter and so waits for the GPU
            norm.momentum = 1 / (batch + 1)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def evaluate(
    net: nn.Module, split: Split, image_size: int, precision: Precision = "fp32"
) -> Metrics:
    """Loss and accuracy of `net` in evaluation mode on the centre crops of a labelled split.

    Raises:
        NonFiniteError: The mean loss is not finite.

    Source: notebook, `run_epoch` with `update=False` and `testTransform`.
    """
    net.eval()
    total = _Tally(split.labels.device)
    everything = torch.arange(len(split))
    for indices, logits in _forward(net, split, everything, image_size, precision):
        labels = split.labels[indices]
        total.add(F.cross_entropy(logits, labels, reduction="sum"), logits, labels)
    return total.metrics(len(split))


def center_crops(split: Split, indices: Tensor, image_size: int) -> Tensor:
    """What evaluation shows a network of some images: their middles, (N, 3, H, W) in [0, 1]."""
    return _normalized(gather_center(split, indices, image_size))


def _forward(
    net: nn.Module, split: Split, chosen: Tensor, image_size: int, precision: Precision
) -> Iterator[tuple[Tensor, Tensor]]:
    """Large batches of some images' indices and of the logits of their centre crops."""
    device = split.labels.device
    chosen = chosen.to(device)
    batch_size = max(2, _PIXELS_AT_ONCE[device.type] // image_size**2)
    for span in _spans(len(chosen), batch_size):
        images = center_crops(split, chosen[span], image_size)
        with _arithmetic(device, precision):
            logits = net(images)
        yield chosen[span], logits.float()


def _arithmetic(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


class _Tally:
    """Sums kept on the device, so that no step waits for the host."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._hits = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, summed_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += summed_loss
        self._hits += (logits.argmax(1) == labels).sum()

    def metrics(self, count: int) -> Metrics:
        return Metrics(loss=self._loss.item() / count, accuracy=self._hits.item() / count)


def _spans(count: int, batch_size: int) -> list[slice]:
    """Slices of a batch each; a single image left over joins the last batch."""
    starts = [*range(0, max(1, count - 1), batch_size), count]
    return [slice(start, end) for start, end in pairwise(starts)]


def _normalized(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    """Floats in [0, 1], (N, 3, H, W) over the same channels-last memory."""
    return images_NHWC.permute(0, 3, 1, 2).float().div_(255)
