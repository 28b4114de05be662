"""Fine-tuning and evaluation of one network."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data import ImageData, Split, draw_crops, gather_center, gather_train
from pruning.errors import NonFiniteError

_EVALUATION_PIXELS = 2**19  # a batch: 512 images of 32 pixels a side, 8 of 256


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
        decay: Whether the learning rate falls linearly to 0, from epoch to epoch, or stays.
        on_epoch: Called after each epoch with its index and its running training metrics.

    Raises:
        NonFiniteError: The training loss of an epoch is not finite.
    """
    optimizer = new_optimizer(net, lr=lr, weight_decay=weight_decay)
    for epoch in range(epochs):
        if decay:
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 - epoch / epochs)
        metrics = train_epoch(net, data, optimizer, batch_size=batch_size, generator=generator)
        if on_epoch is not None:
            on_epoch(epoch, metrics)


def train_epoch(
    net: nn.Module,
    data: ImageData,
    optimizer: torch.optim.Optimizer,
    *,
    batch_size: int,
    generator: torch.Generator,
) -> Metrics:
    """One pass over the training split in random order, every image augmented anew.

    Returns:
        Loss and accuracy as they were when each batch was trained on.

    Raises:
        NonFiniteError: The mean loss is not finite.

    Source: notebook, `run_epoch` with `update=True` and `trainTransform`.
    """
    net.train()
    device = data.train.labels.device
    total = _Tally(device)
    for indices in _batches(len(data.train), batch_size, generator):
        crops = draw_crops(
            data.train,
            indices,
            size=data.image_size,
            padding=data.padding,
            flip=data.flip,
            generator=generator,
        )
        images_NHWC = gather_train(data.train, indices, crops, data.image_size)  # noqa: N806
        labels = data.train.labels[indices.to(device)]
        logits = net(_normalized(images_NHWC))
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total.add(loss.detach() * len(labels), logits.detach(), labels)
    return total.metrics(len(data.train))


@torch.no_grad()
def evaluate(net: nn.Module, split: Split, image_size: int) -> Metrics:
    """Loss and accuracy of `net` in evaluation mode on the centre crops of a labelled split.

    Raises:
        NonFiniteError: The mean loss is not finite.

    Source: notebook, `run_epoch` with `update=False` and `testTransform`.
    """
    net.eval()
    total = _Tally(split.labels.device)
    for indices in _in_order(len(split), max(1, _EVALUATION_PIXELS // image_size**2)):
        labels = split.labels[indices.to(split.labels.device)]
        logits = net(_normalized(gather_center(split, indices, image_size)))
        total.add(F.cross_entropy(logits, labels, reduction="sum"), logits, labels)
    return total.metrics(len(split))


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


def _batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """A random permutation in batches; a single image left over joins the last batch."""
    order = torch.randperm(count, generator=generator)
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    yield from batches


def _in_order(count: int, batch_size: int) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(count), batch_size)


def _normalized(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    """Floats in [0, 1], (N, 3, H, W) over the same channels-last memory."""
    return images_NHWC.permute(0, 3, 1, 2).float().div_(255)
