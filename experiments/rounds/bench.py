"""A trained root with what it takes to prune it."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from data import ImageData
from models import student_channels
from pruning import Recipe, StudentArchitecture, evaluate, fine_tune, recalibrate


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A seed's root, and what it takes to prune it."""

    data: ImageData
    architecture: StudentArchitecture
    root: nn.Module
    batch_size: int
    seed: int

    @classmethod
    def trained(cls, data: ImageData, *, root_epochs: int, seed: int) -> Self:
        """A root that is trained as the recipe says."""
        recipe = Recipe()
        architecture = StudentArchitecture(
            channels=student_channels(), num_classes=len(data.classes)
        )
        torch.manual_seed(seed)
        root = architecture.build(architecture.channels).to(memory_format=torch.channels_last)
        fine_tune(
            root,
            data,
            epochs=root_epochs,
            lr=recipe.root_lr,
            batch_size=recipe.batch_size,
            weight_decay=recipe.weight_decay,
            generator=torch.Generator().manual_seed(seed),
            decay=True,
        )
        return cls(
            data=data,
            architecture=architecture,
            root=root.eval(),
            batch_size=recipe.batch_size,
            seed=seed,
        )


def trained_accuracy(
    net: nn.Module, data: ImageData, *, epochs: int, lr: float, seed: int
) -> float:
    """Train a network as the recipe trains roots and rounds; its accuracy on validation."""
    recipe = Recipe()
    generator = torch.Generator().manual_seed(seed)
    fine_tune(
        net,
        data,
        epochs=epochs,
        lr=lr,
        batch_size=recipe.batch_size,
        weight_decay=recipe.weight_decay,
        generator=generator,
        decay=True,
        warm_up=recipe.warm_up,
        unaugmented=recipe.unaugmented_of(epochs),
    )
    recalibrate(net, data, generator=generator)
    return evaluate(net, data.validation, data.image_size).accuracy
