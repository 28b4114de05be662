"""What a network must be to be pruned, as far as its parts tell before it is run."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pruning.errors import UnprunableError
from pruning.layers import KINDS, can_be_cut


def check_parts(net: nn.Module) -> None:
    """Check that a network's layers can be changed, and its tensors trained and kept.

    Raises:
        UnprunableError: It is of TorchScript; it has no parameters, or some that have no shape
            yet, are not of float32 or not on the CPU; or its state dict holds what no stage can:
            something else than tensors, or one under two names.
    """
    for name, module in net.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnprunableError(
                f"{name or type(net).__name__} is of TorchScript, whose layers cannot be changed; "
                "let the factory return the module that it was made of."
            )
    if next(net.parameters(), None) is None:
        raise UnprunableError(f"{type(net).__name__} has no parameters, and so nothing to prune.")
    for name, parameter in net.named_parameters():
        if is_lazy(parameter):
            raise UnprunableError(
                f"{name} has no shape before the network has run; let the factory run it once, "
                "on zeros of the images' shape, or give that layer its sizes."
            )
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise UnprunableError(
                f"{name} is of {parameter.dtype}, on {parameter.device}; let the factory return a "
                "network of torch.float32 on the CPU: the search moves it."
            )
    _check_state(net)


def check_again(net: nn.Module, again: nn.Module) -> None:
    """Check that what builds a network makes another one each time, of the same shapes.

    Raises:
        UnprunableError: It does not.
    """
    one, other = (each.state_dict(keep_vars=True) for each in (net, again))
    made = {id(tensor) for tensor in one.values()}
    for name, tensor in other.items():
        if id(tensor) in made:
            raise UnprunableError(
                f"{name} is the same tensor in all networks that the factory makes; let it make "
                "each of layers of its own."
            )
    differ = sorted(
        name for name in one.keys() | other.keys() if _shape(one, name) != _shape(other, name)
    )
    if differ:
        raise UnprunableError(
            f"{differ[0]} has another shape whenever the factory is called; let it make the same "
            "network each time."
        )


def of_stubborn_layers(net: nn.Module) -> str:
    """Words on the first layer that keeps its channels, to end a list of reasons with."""
    for name, module in net.named_modules():
        own = (*module._parameters.values(), *module._buffers.values())
        holds = isinstance(module, KINDS) or any(tensor is not None for tensor in own)
        if holds and not can_be_cut(module):
            return (
                f", or a layer whose weights cannot be cut, such as {name} "
                f"({type(module).__name__})"
            )
    return ""


def _check_state(net: nn.Module) -> None:
    names: dict[int, str] = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise UnprunableError(
                f"{name} in the network's state dict is no tensor ({type(tensor).__name__}), as "
                "after quantization; let the factory return a network of tensors alone."
            )
        other = names.setdefault(id(tensor), name)
        if other != name:
            raise UnprunableError(
                f"{other} and {name} are one tensor; give each layer weights of its own."
            )


def _shape(state: dict[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None
