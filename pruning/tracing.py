"""Follows a network's channels from layer to layer, by its dependency graph.

Torch-Pruning (Fang et al., "DepGraph: Towards Any Structural Pruning", arXiv:2301.12900) says
which channels of which layers depend on each other. What it says is made into an undirected
graph, whose nodes are single channels of single layers: its components live and die together.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch_pruning
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from models import in_a_line
from pruning.admission import of_stubborn_layers
from pruning.errors import UnprunableError
from pruning.layers import Side, axes_of, bonds, can_be_cut, channels_of

_ROOTS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.modules.conv._ConvTransposeNd, nn.Linear)
_HARMLESS = (
    torch_pruning.ops._ConcatOp,
    torch_pruning.ops._ReshapeOp,
    torch_pruning.ops._ElementWiseOp,
)

Labels: TypeAlias = npt.NDArray[np.int64]
"""For each place, to which component its channel belongs; -1 if to none that can be cut."""


class TracedAxis(NamedTuple):
    """An axis of a tensor, by name, and whose channels lie along it."""

    tensor: str
    axis: int
    labels: Labels


def trace(net: nn.Module, image_size: int) -> list[TracedAxis]:
    """All axes that hold channels, in the order of the network's layers.

    Channels stay whole, and have label -1, that are the network's input or output, that reach an
    operation which takes some of them by number (a split, a slice), or a layer of a kind that
    `pruning/layers.py` does not know.

    Args:
        net: The network; its tensors may be on the meta device, since only shapes matter.
        image_size: Side of the square images to follow through the network.

    Raises:
        UnprunableError: Torch-Pruning cannot follow the network.
    """
    device = next(net.parameters()).device
    pixels = nn.Parameter(torch.zeros(1, 3, image_size, image_size, device=device))
    channels = _Channels(net)
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's, for developers of networks
            for item in _dependencies(net, pixels, channels):
                channels.join(item)
    except Exception as error:  # of any kind, from the depths of the library
        raise UnprunableError(
            f"the channels of {type(net).__name__} cannot be followed from layer to layer "
            f"(torch_pruning: {in_a_line(error)}); a reshape or a shuffle of channels in it "
            f"is the usual reason{of_stubborn_layers(net)}; such a network cannot be pruned here."
        ) from error
    return channels.axes()


class _Index(NamedTuple):
    """A channel, and the channel of a root on which it depends; named as Torch-Pruning does."""

    idx: int
    root_idx: int


class _Item(NamedTuple):
    """Channels of a layer or operation that depend on those of a root."""

    root: nn.Module
    target: Any
    side: Side
    indices: Sequence[_Index]
    holds: bool


def _dependencies(net: nn.Module, pixels: nn.Parameter, channels: "_Channels") -> Iterator[_Item]:
    """What depends on the outputs of each layer that makes channels."""
    outputs: list[Tensor] = []

    def forward(model: nn.Module, images: Tensor) -> Tensor:
        outputs.append(model(images))
        return outputs[0]

    graph = torch_pruning.DependencyGraph().build_dependency(
        net,
        pixels,
        forward_fn=forward,
        unwrapped_parameters=[(pixels, 1)],
        verbose=False,
    )
    for module, node in graph.module2node.items():
        if node.type == torch_pruning.ops.OPTYPE.PARAMETER and module is not pixels:
            channels.add_parameter(module, node.pruning_dim)
    for root, root_node in graph.module2node.items():
        missing = channels.not_joined(root) if isinstance(root, _ROOTS) else []
        prune = graph.get_pruner_of_module(root).prune_out_channels
        for node, handler, indices in _reached(root_node, prune, missing, channels.most):
            pruner = graph.get_pruner_of_module(node.module)
            alike = pruner.prune_in_channels == pruner.prune_out_channels
            reads = not alike and handler == pruner.prune_in_channels
            is_output = node.grad_fn is outputs[0].grad_fn and not reads
            yield _Item(
                root=root,
                target=node.module,
                side="in" if reads else "out",
                indices=indices,
                holds=is_output or node.module is pixels,
            )


def _reached(
    root: Any, prune: Any, channels: Sequence[int], most: int
) -> Iterator[tuple[Any, Any, Sequence[_Index]]]:
    """All nodes that depend on channels of a root, how they would be pruned, and where.

    Torch-Pruning's own search does not end where a reshape multiplies indices round after round.
    """
    seen: dict[Any, set[int]] = defaultdict(set)
    stack = [(root, prune, [_Index(one, one) for one in channels])] if channels else []
    yield from stack
    while stack:
        node, handler, indices = stack.pop()
        for dependency in node.dependencies:
            if not dependency.is_triggered_by(handler):
                continue
            mapped = indices
            for mapping in filter(None, dependency.index_mapping):
                mapped = mapping(mapped)
            if any(index.idx >= most for index in mapped):
                raise IndexError(f"channel {max(mapped)[0]}, but no layer has more than {most}")
            if mapped:
                yield dependency.target, dependency.handler, mapped
            known = seen[dependency.target, dependency.handler]
            new = [index for index in mapped if index.idx not in known]
            known.update(index.idx for index in new)
            if new:
                stack.append((dependency.target, dependency.handler, new))


def _takes_by_number(operation: Any) -> bool:
    """Whether what an operation gives has other channels than what it is given."""
    if isinstance(operation, torch_pruning.ops._SliceOp):
        return bool(operation.dim == 1)
    return not isinstance(operation, _HARMLESS)


class _Channels:
    """Single channels of single layers, numbered, and which of them go together."""

    def __init__(self, net: nn.Module) -> None:
        self._layers = {
            module: name
            for name, module in net.named_modules()
            if can_be_cut(module) and not _is_scalar(module)
        }
        self._parameters = {parameter: name for name, parameter in net.named_parameters()}
        self._axis_of: dict[Any, int] = {}
        self._first: dict[tuple[Any, Side], int] = {}
        self._size: dict[tuple[Any, Side], int] = {}
        self._count = 0
        self._pairs: list[tuple[int, int]] = []
        self._made: set[int] = set()
        self._held: set[int] = set()
        for layer in self._layers:
            for side, size in channels_of(layer).items():
                self._add(layer, side, size)
            for (side, one), (other_side, other) in bonds(layer):
                self._pairs.append(
                    (self._first[layer, side] + one, self._first[layer, other_side] + other)
                )

    @property
    def most(self) -> int:
        """The most channels that any layer has."""
        return max(self._size.values(), default=0)

    def add_parameter(self, parameter: nn.Parameter, axis: int) -> None:
        """A tensor of no layer, such as a learned scale."""
        self._axis_of[parameter] = axis
        self._add(parameter, "out", parameter.shape[axis])

    def not_joined(self, root: nn.Module) -> list[int]:
        """The outputs of a layer whose dependencies are not known yet."""
        size, first = self._size.get((root, "out"), 0), self._first.get((root, "out"), 0)
        # One channel alone cannot be cut, and may be broadcast.
        return [one for one in range(size) if first + one not in self._made] if size > 1 else []

    def join(self, item: _Item) -> None:
        """Take note that channels depend on a root's."""
        root = self._first[item.root, "out"]
        of_root = [root + index.root_idx for index in item.indices]
        self._made.update(of_root)
        key = item.target, item.side
        if key in self._first:
            if max(index.idx for index in item.indices) >= self._size[key]:
                return  # a broadcast tensor, whose channels are others
            made = [self._first[key] + index.idx for index in item.indices]
            self._pairs += zip(of_root, made, strict=True)
            if isinstance(item.target, _ROOTS) and item.side == "out":
                self._made.update(made)
        elif not isinstance(item.target, nn.PReLU) and _takes_by_number(item.target):
            self._held.update(of_root)
        if item.holds:
            self._held.update(of_root)

    def axes(self) -> list[TracedAxis]:
        """All axes that hold channels, with the components that are left by what was noted."""
        labels = self._labels()
        axes = []
        for layer, name in self._layers.items():
            for tensor, axis, side in axes_of(layer):
                first, size = self._first[layer, side], getattr(layer, tensor).shape[axis]
                axes.append(TracedAxis(f"{name}.{tensor}", axis, labels[first : first + size]))
        for parameter, axis in self._axis_of.items():
            first, size = self._first[parameter, "out"], self._size[parameter, "out"]
            name = self._parameters[parameter]
            axes.append(TracedAxis(name, axis, labels[first : first + size]))
        return axes

    def _labels(self) -> Labels:
        one, other = np.array(self._pairs, dtype=np.int64).reshape(-1, 2).T
        shape = (self._count, self._count)
        graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=shape)
        components, labels = connected_components(graph, directed=False)
        free = np.zeros(components, dtype=bool)
        free[labels[list(self._made)]] = True
        free[labels[list(self._held)]] = False
        return np.where(free[labels], labels, -1).astype(np.int64)

    def _add(self, layer: Any, side: Side, size: int) -> None:
        self._first[layer, side] = self._count
        self._size[layer, side] = size
        self._count += size


def _is_scalar(module: nn.Module) -> bool:
    return isinstance(module, nn.PReLU) and module.num_parameters == 1
