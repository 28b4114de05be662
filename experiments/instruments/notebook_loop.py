"""The notebook's way to train, as the side that measurements compare this project with.

What the notebook does to an image and in a step, stated anew: PIL images in memory, torchvision's
transforms one by one, a DataLoader without workers, contiguous fp32 tensors, AdamW, two `.item()`
a step, and an evaluation by the same function, which builds the graph that nobody needs. Its stale
optimizer is not kept: it costs no time and saves none.

Source: notebook, `MyDataset`, `get_dataloader`, `run_epoch` and the training loop.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torchvision.transforms as transforms
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from data import ImageData, Split

LR = 1e-3
EPOCHS = 5
BATCH_SIZE = 32
_LARGEST_ANGLE = 15

Batches = Iterable[tuple[Tensor, Tensor]]


class Pictures(Dataset[tuple[Any, int]]):
    """Decoded PIL images, each transformed anew whenever it is asked for."""

    def __init__(self, images: Sequence[Image.Image], labels: Sequence[int], transform: Any):
        self._images = images
        self._labels = labels
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._transform(self._images[index]), self._labels[index]


def pictures(split: Split) -> list[Image.Image]:
    """The images of a packed split as PIL images of the same pixels."""
    shapes = zip(
        split.offsets.tolist(), split.heights.tolist(), split.widths.tolist(), strict=True
    )
    return [
        Image.fromarray(
            split.pixels[start : start + height * width].view(height, width, 3).numpy()
        )
        for start, height, width in shapes
    ]


def training_loader(data: ImageData, batch_size: int = BATCH_SIZE) -> Batches:
    """Shuffled batches of augmented training images; a set that forbids mirroring is not."""
    crop = transforms.RandomCrop(
        data.image_size,
        padding=data.padding or None,
        pad_if_needed=True,
        padding_mode="symmetric",
    )
    flip = [transforms.RandomHorizontalFlip()] if data.flip else []
    rotation = transforms.RandomRotation(_LARGEST_ANGLE)
    transform = transforms.Compose([crop, *flip, rotation, transforms.ToTensor()])
    return _loader(data.train, transform, batch_size, shuffle=True)


def validation_loader(data: ImageData, batch_size: int = BATCH_SIZE) -> Batches:
    """Batches of the validation images' centre crops, in order."""
    transform = transforms.Compose([transforms.CenterCrop(data.image_size), transforms.ToTensor()])
    return _loader(data.validation, transform, batch_size, shuffle=False)


def _loader(split: Split, transform: Any, batch_size: int, *, shuffle: bool) -> Batches:
    images = Pictures(pictures(split), split.labels.tolist(), transform)
    return DataLoader(images, batch_size=batch_size, shuffle=shuffle)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookLoop:
    """One network in the notebook's hands."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    criterion: nn.Module
    device: torch.device

    @classmethod
    def of(cls, net: nn.Module, device: torch.device) -> Self:
        """A loop that trains `net`, which is moved to `device`."""
        net = net.to(device)
        return cls(
            net=net,
            optimizer=torch.optim.AdamW(net.parameters(), lr=LR),
            criterion=nn.CrossEntropyLoss(),
            device=device,
        )

    def train(self, batches: Batches) -> tuple[float, float]:
        """An epoch of training; returns mean loss and accuracy."""
        self.net.train()
        return self._run_epoch(batches, update=True)

    def validate(self, batches: Batches) -> tuple[float, float]:
        """An epoch of evaluation, gradients' graph included; returns mean loss and accuracy."""
        self.net.eval()
        return self._run_epoch(batches, update=False)

    def run_round(
        self, training: Batches, validation: Batches, best_file: Path, epochs: int = EPOCHS
    ) -> None:
        """Train and validate for some epochs, and keep the best weights in a file."""
        best = 0.0
        for _ in range(epochs):
            self.train(training)
            _, accuracy = self.validate(validation)
            if accuracy > best:
                best = accuracy
                content = io.BytesIO()
                torch.save(self.net.state_dict(), content)
                best_file.write_bytes(content.getvalue())

    def _run_epoch(self, batches: Batches, *, update: bool) -> tuple[float, float]:
        seen, hits, summed_loss = 0, 0.0, 0.0
        for images, labels in batches:
            self.optimizer.zero_grad()
            images, labels = images.to(self.device), labels.to(self.device)  # noqa: PLW2901
            logits = self.net(images)
            loss = self.criterion(logits, labels)
            if update:
                loss.backward()
                self.optimizer.step()
            hits += (logits.argmax(dim=1) == labels).sum().item()
            summed_loss += loss.item() * len(labels)
            seen += len(labels)
        return summed_loss / seen, hits / seen
