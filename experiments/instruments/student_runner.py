"""What runs rounds of a StudentNet in a script: as the command would, on one core."""

import torch

from data import ImageData
from models import student_channels
from pruning import Origin, Recipe, RoundRunner, StudentArchitecture
from search.front.cost import Pricing


def student_architecture(classes: int) -> StudentArchitecture:
    """The network that the command prunes by default, in the way of its default."""
    return StudentArchitecture(channels=student_channels(), num_classes=classes, prune="even")


def by_params(architecture: StudentArchitecture) -> Pricing:
    """The command's default cost, which the side of the images has no part in."""
    return Pricing(name="params", architecture=architecture, image_size=1)


def student_recipe(*, root_epochs: int) -> Recipe:
    """How the command trains it by default."""
    return Recipe.named("measured", batch_size=32, root_epochs=root_epochs, student=True)


def student_runner(data: ImageData, *, seed: int, root_epochs: int) -> RoundRunner:
    """Runs rounds on the CPU.

    Args:
        data: The images.
        seed: Of the root and of all stages.
        root_epochs: Epochs for which the root is trained.
    """
    architecture = student_architecture(len(data.classes))
    origin = Origin(
        recipe=student_recipe(root_epochs=root_epochs),
        seed=seed,
        data_fingerprint=data.fingerprint,
        root={
            "channels": list(architecture.channels),
            "classes": architecture.num_classes,
            "prune": architecture.prune,
        },
        device_type="cpu",
    )
    return RoundRunner(
        architecture=architecture, data=data, origin=origin, device=torch.device("cpu")
    )
