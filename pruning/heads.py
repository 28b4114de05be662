"""Heads for another number of classes than a network shall tell apart."""

from collections.abc import Callable, Mapping

from torch import Tensor

from models import NetworkError
from pruning.narrow import Factory, build_without_weights
from pruning.weights import Weights, weights_of


def shapes_of(factory: Factory) -> dict[str, Tensor]:
    """The state dict of a factory's network in shapes and types; its values mean nothing."""
    return dict((build_without_weights(factory) or factory.build()).state_dict())


def classes_of(
    state: Mapping[str, Tensor], like: Mapping[str, Tensor], num_classes: int
) -> int | None:
    """For how many classes a state dict's head seems to be.

    Args:
        state: Of a network of the same names.
        like: A state dict for `num_classes`.
        num_classes: How many it should be.

    Returns:
        The size that the state dict has where it should have this number; None if it has other
        sizes in different places, or none.
    """
    found = {
        size
        for name, one in like.items()
        for size, wanted in zip(state[name].shape, one.shape, strict=False)
        if size != wanted == num_classes
    }
    return found.pop() if len(found) == 1 else None


def with_any_head(
    like: Mapping[str, Tensor], num_classes: int, factory: Callable[[int], Factory]
) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """What a state dict should be, for `read_weights`, whatever number of classes it is for.

    Args:
        like: The state dict for `num_classes`.
        num_classes: How many classes there are.
        factory: Builds the network for another number of classes.
    """

    def skeleton(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        classes = classes_of(state, like, num_classes)
        if classes is None:
            return like
        try:
            return shapes_of(factory(classes))
        except NetworkError:  # it can be built for these classes alone
            return like

    return skeleton


def without_head(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Weights:
    """Those weights of a network that fit another whose head alone has another size."""
    return weights_of(
        {name: one for name, one in tensors.items() if one.shape == like[name].shape}
    )
