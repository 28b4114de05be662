"""Tries out that a network can be used, and that it can be cut."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models import first_line
from pruning.errors import UnprunableError
from pruning.groups import ChannelGroup, channel_counts, places_of, transplant
from pruning.layers import BATCH_NORMS, axes_of, can_be_cut, mixes_channels

_TOLERANCE, _SINGLE_TOLERANCE = 1e-6, 1e-3  # relative to the largest output
_CALLS = ((False, 2), (True, 3))  # training mode and batch size


def verify_wide(net: nn.Module, image_size: int) -> int:
    """How many classes a network tells apart.

    Raises:
        UnprunableError: It does not give logits (N, classes) of N images, in training or
            evaluation, or cannot be trained.
    """
    widths = set()
    for training, size in _CALLS:
        images = torch.rand(size, 3, image_size, image_size)
        with torch.set_grad_enabled(training):
            logits = _run(net, training, images, "")
        mode = "training" if training else "evaluation"
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != size:
            what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise UnprunableError(
                f"{type(net).__name__} in {mode} makes {what} of {size} images; it must make "
                f"one tensor ({size}, classes). Leave auxiliary outputs out of it."
            )
        if training and not logits.requires_grad:
            raise UnprunableError(
                f"{type(net).__name__} cannot be trained: all of its parameters are frozen "
                "(requires_grad), or it computes without gradients (no_grad, detach)."
            )
        widths.add(logits.shape[1])
    if len(widths) > 1:
        raise UnprunableError(
            f"{type(net).__name__} has now {min(widths)}, now {max(widths)} outputs."
        )
    return widths.pop()


def verify_narrow(
    net: nn.Module, narrow: nn.Module, groups: Sequence[ChannelGroup], image_size: int
) -> None:
    """Check that a narrow network runs, and computes what the wide one does of its channels.

    The wide network is made to ignore the channels that the narrow one lacks by zeros in all
    weights that read them. Networks in which they pass through a norm over channels cannot be
    compared so.

    Args:
        net: The wide network; its weights are overwritten.
        narrow: A network of the same kind; its weights are overwritten, too.
        groups: Their channel groups.
        image_size: Side of the images.

    Raises:
        UnprunableError: It does not.
    """
    for training, size in _CALLS:
        images = torch.rand(size, 3, image_size, image_size)
        with torch.no_grad():
            _run(narrow, training, images, "with fewer channels ")
    if norms_mix(net, groups):
        return
    _liven(net)
    kept, dropped = _divided(narrow, net, groups)
    transplant(net, narrow, groups, kept)
    _silence(net, groups, dropped)
    for one in (net, narrow):
        one.eval()
        for module in one.modules():
            module.train(isinstance(module, BATCH_NORMS))
    if not _compute_the_same(net, narrow, torch.rand(2, 3, image_size, image_size)):
        raise UnprunableError(
            f"{type(net).__name__} without some channels computes something else than if no layer "
            "read them: something in it mixes channels without a weight for each, such as a "
            "shuffle, a mean or a softmax over channels. Such a network cannot be pruned here."
        )


def norms_mix(net: nn.Module, groups: Sequence[ChannelGroup]) -> bool:
    """Whether a norm makes a channel of these groups depend on others."""
    mixing = {f"{name}.weight" for name, layer in net.named_modules() if mixes_channels(layer)}
    counts = channel_counts(net.state_dict(), groups)
    return any(name in mixing for group in groups for name, _ in places_of(group, counts))


def _run(net: nn.Module, training: bool, images: Tensor, state: str) -> Any:
    """What a network makes of images; if that fails, an error with the layer's name."""
    started = [""]
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: started.append(name))
        for name, module in net.named_modules()
    ]
    try:
        return net.train(training)(images)
    except Exception as error:  # others' code may fail in any way
        raise UnprunableError(
            f"{type(net).__name__} {state}fails at {started[-1] or 'its start'} with "
            f"{len(images)} images of {images.shape[-1]} pixels a side: "
            f"{first_line(error)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _compute_the_same(one: nn.Module, other: nn.Module, images: Tensor) -> bool:
    try:
        return _agree(one.double(), other.double(), images.double(), _TOLERANCE)
    except Exception:  # others' code may ask for single precision somewhere
        return _agree(one.float(), other.float(), images, _SINGLE_TOLERANCE)


@torch.no_grad()
def _agree(one: nn.Module, other: nn.Module, images: Tensor, tolerance: float) -> bool:
    expected, got = one(images), other(images)
    return bool((got - expected).abs().max() <= tolerance * expected.abs().max())


def _liven(net: nn.Module) -> None:
    """Values that leave no branch without a say, as many a fresh network's zeros do."""
    for parameter in net.parameters():
        if parameter.squeeze().dim() <= 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif not parameter.any():
            nn.init.normal_(parameter)


def _divided(
    narrow: nn.Module, wide: nn.Module, groups: Sequence[ChannelGroup]
) -> tuple[list[Tensor], list[Tensor]]:
    """For each group, channels that are kept and those that are dropped, at random."""
    counts, left = (channel_counts(net.state_dict(), groups) for net in (wide, narrow))
    orders = [torch.randperm(counts[group.block]) for group in groups]
    kept = [order[: left[group.block]] for group, order in zip(groups, orders, strict=True)]
    dropped = [order[left[group.block] :] for group, order in zip(groups, orders, strict=True)]
    return kept, dropped


def _silence(net: nn.Module, groups: Sequence[ChannelGroup], dropped: Sequence[Tensor]) -> None:
    """Zeros in all weights that read channels."""
    state = net.state_dict()
    counts = channel_counts(state, groups)
    reading = {
        (f"{name}.{axis.tensor}", axis.axis)
        for name, layer in net.named_modules()
        if can_be_cut(layer)
        for axis in axes_of(layer)
        if axis.side == "in"
    }
    for group, channels in zip(groups, dropped, strict=True):
        for (name, axis), places in places_of(group, counts).items():
            if (name, axis) in reading:
                at = channels if places is None else places[channels].flatten()
                state[name].index_fill_(axis, at, 0)
