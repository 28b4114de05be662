"""Weights that a root is given: a checkpoint's, or published ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from models import MissingWeightsError, NamedNetwork, Normalization, StudentNet, published
from pruning import (
    classes_of,
    fit_weights,
    read_checkpoint,
    read_weights,
    shapes_of,
    with_any_head,
    without_head,
)
from search.configuration import SearchConfig


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GivenWeights:
    """Weights for a network.

    Attributes:
        source: Where they are from, in messages.
        tensors: Of its state dict; those of a head for another number of classes are left out.
        sha256: Of these.
        other_classes: For how many classes that head was; None where the head fits.
        name: Of published weights.
        normalization: Of the images that published weights were trained on.
    """

    source: str
    tensors: Mapping[str, Tensor]
    sha256: str
    other_classes: int | None
    name: str | None = None
    normalization: Normalization | None = None

    @classmethod
    def of(
        cls, source: str, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor], classes: int
    ) -> Self:
        """What the state dict of a network has for one like it with this number of classes."""
        weights = without_head(tensors, like)
        return cls(
            source=source,
            tensors=weights.tensors,
            sha256=weights.sha256,
            other_classes=classes_of(tensors, like, classes),
        )


def weights_for_student(
    config: SearchConfig, classes: int
) -> tuple[tuple[int, ...], GivenWeights] | None:
    """The channels and weights of --checkpoint's StudentNet; None if there is no --checkpoint.

    Raises:
        CheckpointError: The file holds none.
    """
    if config.checkpoint is None:
        return None
    checkpoint = read_checkpoint(config.checkpoint)
    net = StudentNet(channels=checkpoint.channels, num_classes=classes)
    given = GivenWeights.of(str(config.checkpoint), checkpoint.tensors, net.state_dict(), classes)
    return checkpoint.channels, given


def weights_for(config: SearchConfig, network: NamedNetwork) -> GivenWeights | None:
    """The weights of --checkpoint or --weights for a network of --model; None if neither is there.

    Raises:
        CheckpointError: They do not fit the network.
        MissingWeightsError: They cannot be downloaded.
        NetworkError: There are no such published weights.
    """
    if config.checkpoint is None and config.weights is None:
        return None
    classes, kind = network.num_classes, config.model
    like = shapes_of(network)
    skeleton = with_any_head(like, classes, lambda other: replace(network, num_classes=other))
    if config.checkpoint is not None:
        weights = read_weights(config.checkpoint, like, skeleton, kind=kind)
        return GivenWeights.of(str(config.checkpoint), weights.tensors, like, classes)
    found = published(network, config.weights or "")
    weights = fit_weights(found.tensors, like, skeleton, kind=kind)
    given = GivenWeights.of(f"--weights {found.name}", weights.tensors, like, classes)
    return replace(given, name=found.name, normalization=found.normalization)


def check_presence(config: SearchConfig) -> None:
    """Raises MissingWeightsError if the --checkpoint of a search that is resumed is gone."""
    if config.resume is not None and config.checkpoint and not config.checkpoint.exists():
        raise MissingWeightsError(
            f"{config.checkpoint} is gone, and is still needed: put it back."
        )
