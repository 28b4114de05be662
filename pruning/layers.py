"""Where the layers of a network hold their channels, for each kind of layer that can be cut."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import Tensor, nn

Side: TypeAlias = Literal["in", "out"]
"""Which channels of a layer: those it reads or those it puts out. Layers that treat each channel
alone have no other than those they put out."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_EACH_ALONE = (*BATCH_NORMS, *_INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm, nn.PReLU)
_STATISTICS = ("weight", "bias", "running_mean", "running_var")

KINDS = (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear, *_EACH_ALONE)
"""The kinds of layers whose channels can be cut."""


class Axis(NamedTuple):
    """An axis of one of a layer's own tensors, and whose channels lie there in their order."""

    tensor: str
    axis: int
    side: Side


def can_be_cut(layer: Any) -> bool:
    """Whether the channels of a layer can be told from its weight, a parameter of its own."""
    if not isinstance(layer, KINDS) or "weight" not in layer._parameters or layer.weight is None:
        return False
    if isinstance(layer, _TRANSPOSED):
        return layer.groups == 1
    if isinstance(layer, _CONVOLUTIONS):
        return _is_depthwise(layer) or layer.groups != layer.out_channels or layer.groups == 1
    return isinstance(layer, nn.Linear) or layer.weight.dim() == 1


def axes_of(layer: Any) -> list[Axis]:
    """The axes of a layer's tensors that hold its channels; those with no tensor are left out."""
    if isinstance(layer, _EACH_ALONE):
        axes = [Axis(name, 0, "out") for name in _STATISTICS]
    elif isinstance(layer, _TRANSPOSED):
        axes = [Axis("weight", 1, "out"), Axis("weight", 0, "in"), Axis("bias", 0, "out")]
    else:
        axes = [Axis("weight", 0, "out"), Axis("bias", 0, "out")]
        if not (isinstance(layer, _CONVOLUTIONS) and _loses_groups(layer)):
            axes.append(Axis("weight", 1, "in"))
    own = {name for name, tensor in _own_tensors(layer).items() if tensor is not None}
    return [axis for axis in axes if axis.tensor in own]


def channels_of(layer: Any) -> dict[Side, int]:
    """How many channels a layer has on each of its sides."""
    weight = layer.weight
    if isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED)) and not _is_depthwise(layer):
        return {"out": layer.out_channels, "in": layer.in_channels}
    if isinstance(layer, nn.Linear):
        return {"out": layer.out_features, "in": layer.in_features}
    return {"out": len(weight)}


def bonds(layer: Any) -> Iterator[tuple[tuple[Side, int], tuple[Side, int]]]:
    """Pairs of a layer's channels that can only go together, because it works in groups.

    A convolution loses whole groups, in and out, if that leaves the finer choice; otherwise each
    of its groups loses the channel of the same place. So does a group norm.
    """
    if _is_depthwise(layer) or _groups(layer) == 1:
        return
    sizes = channels_of(layer)
    if _loses_groups(layer):
        width = sizes["out"] // _groups(layer)
        for channel in range(sizes["out"]):
            yield ("out", channel), ("out", channel // width * width)
        for channel in range(sizes.get("in", 0)):
            group = channel * _groups(layer) // sizes["in"]
            yield ("in", channel), ("out", group * width)
    else:
        for side, size in sizes.items():
            for channel in range(size):
                yield (side, channel), (side, channel % (size // _groups(layer)))


def replace(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module narrower tensors, and let what a layer says of its widths agree with them."""
    if isinstance(module, KINDS):
        _fit(module, tensors.get("weight", module.weight).shape)
    for name, tensor in tensors.items():
        old = module._parameters.get(name)
        narrow = tensor if old is None else nn.Parameter(tensor, requires_grad=old.requires_grad)
        setattr(module, name, narrow)


def _fit(layer: Any, shape: Sequence[int]) -> None:
    """Let the attributes of a layer say what its new weight's shape does."""
    if isinstance(layer, _CONVOLUTIONS):
        _fit_convolution(layer, shape)
    elif isinstance(layer, _TRANSPOSED):
        layer.in_channels, layer.out_channels = shape[:2]
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    elif isinstance(layer, nn.GroupNorm):
        if _loses_groups(layer):
            layer.num_groups = shape[0] * layer.num_groups // layer.num_channels
        layer.num_channels = shape[0]
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = shape[0]
    else:
        layer.num_features = shape[0]


def _fit_convolution(layer: Any, shape: Sequence[int]) -> None:
    if _loses_groups(layer):
        layer.in_channels = shape[0] * layer.in_channels // layer.out_channels
        layer.groups = layer.in_channels // shape[1]
    else:
        layer.in_channels = shape[1] * layer.groups
    layer.out_channels = shape[0]


def mixes_channels(layer: Any) -> bool:
    """Whether a layer without a reading axis lets a channel depend on others that may be cut."""
    if isinstance(layer, nn.GroupNorm):
        return not _loses_groups(layer)
    return isinstance(layer, nn.LayerNorm)


def _is_depthwise(layer: Any) -> bool:
    """Whether each output channel of a convolution is made of the input channel of its number."""
    return (
        isinstance(layer, _CONVOLUTIONS)
        and layer.groups == layer.in_channels == layer.out_channels
        and layer.groups > 1
    )


def _groups(layer: Any) -> int:
    if isinstance(layer, nn.GroupNorm):
        return layer.num_groups
    return layer.groups if isinstance(layer, _CONVOLUTIONS) else 1


def _loses_groups(layer: Any) -> bool:
    """Whether there are at least as many groups as channels that any of them reads."""
    groups = _groups(layer)
    size = layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.in_channels
    return groups > 1 and groups >= size // groups


def _own_tensors(layer: Any) -> dict[str, Tensor | None]:
    return {**layer._parameters, **layer._buffers}
