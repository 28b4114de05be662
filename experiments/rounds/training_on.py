r"""At which learning rate a root is trained on from weights that it is given, with a new head.

    python -m experiments.rounds.training_on --network resnet18 --data-root DIR

A network of torchvision's learns 8,000 images of Fashion-MNIST for 5 epochs; DIR has its idx
files. Then its head is replaced, and it is trained on for a few epochs as a root is, at each of
some rates, on what is unlike these images, the digits, and on what is like them, 600 others.
Beside that: from scratch at the rate of roots. Printed: accuracies on validation, one a seed of
head, shuffling and augmentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torchvision
import tyro
from torch import Tensor, nn

from data import DataSource, ImageData, Split, open_data
from experiments.instruments.hardware import hardware_line
from experiments.rounds.bench import trained_accuracy
from pruning import Recipe

IMAGE_SIZE = 32
RATES = (4e-3, 1e-3, 3e-4, 1e-4)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOn:
    """Compare learning rates of a root that is trained on."""

    data_root: Path
    """Of Fashion-MNIST's idx files."""
    network: str = "resnet18"
    """Of torchvision's."""
    epochs: tuple[int, ...] = (3, 10)
    """Of training on."""
    seeds: tuple[int, ...] = (1, 2)
    """Of head, shuffling and augmentation."""


def main() -> None:
    """Run the comparison and print it."""
    asked = tyro.cli(TrainingOn)
    torch.set_num_threads(1)
    fashion = open_data(
        DataSource(data="fashion-mnist", data_root=asked.data_root, image_size=IMAGE_SIZE)
    )
    digits = open_data(DataSource(data="digits", image_size=IMAGE_SIZE))
    print(hardware_line())
    begun = _fresh(asked, 0)
    first = _part(fashion, slice(8000), 1000)
    accuracy = trained_accuracy(begun, first, epochs=5, lr=2e-3, seed=0)
    print(f"{asked.network}: first {accuracy:.4f} on Fashion-MNIST", flush=True)
    targets = {"digits": digits, "Fashion-MNIST": _part(fashion, slice(10_000, 10_600), 2000)}
    for name, data in targets.items():
        for epochs in asked.epochs:
            print(f"{len(data.train)} images of {name}, {epochs} epochs")
            scratch = [
                trained_accuracy(
                    _fresh(asked, seed), data, epochs=epochs, lr=Recipe().root_lr, seed=seed
                )
                for seed in asked.seeds
            ]
            print("  scratch ", *(f"{one:.4f}" for one in scratch), flush=True)
            for lr in RATES:
                further = [
                    trained_accuracy(
                        _with_new_head(asked, begun.state_dict(), seed),
                        data,
                        epochs=epochs,
                        lr=lr,
                        seed=seed,
                    )
                    for seed in asked.seeds
                ]
                print(f"  {lr:<8g}", *(f"{one:.4f}" for one in further), flush=True)


def _fresh(asked: TrainingOn, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net: nn.Module = torchvision.models.get_model(asked.network, num_classes=10)
    return net


def _with_new_head(asked: TrainingOn, state: Mapping[str, Tensor], seed: int) -> nn.Module:
    net = _fresh(asked, seed)
    fresh = net.state_dict()
    head = [*fresh][-2:]  # weight and bias
    net.load_state_dict({**state, **{name: fresh[name] for name in head}})
    return net


def _part(data: ImageData, train: slice, validation: int) -> ImageData:
    return replace(
        data, train=_some(data.train, train), validation=_some(data.validation, slice(validation))
    )


def _some(split: Split, which: slice) -> Split:
    return replace(
        split,
        offsets=split.offsets[which],
        heights=split.heights[which],
        widths=split.widths[which],
        labels=split.labels[which],
    )


if __name__ == "__main__":
    main()
