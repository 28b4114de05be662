"""Weights of a known network from files that others wrote, read without running code of theirs."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from pruning.errors import CheckpointError
from pruning.inert import read_inert
from pruning.salvage import to_tensor
from pruning.states import kind_of, some, states_in


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """The state dict of a network.

    Attributes:
        tensors: Exactly its names, in its order: contiguous, on the CPU, in the network's types.
        sha256: Of the tensors. The same weights have the same digest, whatever file they are in.
    """

    tensors: Mapping[str, Tensor]
    sha256: str


def weights_of(tensors: Mapping[str, Tensor]) -> Weights:
    """Weights as they are, with their digest."""
    return Weights(tensors=tensors, sha256=_digest(tensors))


def fit_weights(
    state: Mapping[str, Tensor],
    names: Iterable[str],
    skeleton: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    *,
    kind: str,
) -> Weights:
    """The weights that a state dict which is at hand gives a network; see `read_weights`.

    It may have names of parts that the network lacks, such as auxiliary outputs.

    Raises:
        CheckpointError: It does not fit.
    """
    wanted = tuple(names)
    known = {name: state[name] for name in wanted if name in state}
    return _fitting(states_in(known, wanted, kind), skeleton, kind)[0][1]


def read_weights(
    path: Path,
    names: Iterable[str],
    skeleton: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    *,
    kind: str,
) -> Weights:
    """The weights of one network of a kind that a file holds.

    The file is one that `torch.save` wrote, in either of its formats, a safetensors file, or a
    pickle of NumPy arrays, half precision or quantized, such as the course's. The weights are a
    state dict or, in the newer of torch.save's formats, a whole network. They may lie in a
    dictionary, list or tuple, itself in another at most, under any name and beside anything else:
    of what is no tensor, nothing is run. One wrapper's prefix, or several wrappers', may stand
    before all of their names, beside tensors of other names, and they may be of any floating type
    and on any device.

    Args:
        path: Of the file.
        names: Of the network's state dict, in order.
        skeleton: What a state dict of these names should be, in shapes and types.
        kind: What such networks are called, in messages.

    Raises:
        CheckpointError: The file cannot be read, needs code to be read, or holds anything but
            the finite weights of one such network.
    """
    content = _content(path)
    wanted = tuple(names)
    try:
        found = _fitting(states_in(_loaded(content), wanted, kind), skeleton, kind)
        if len({weights.sha256 for _, weights in found}) > 1:
            raise CheckpointError(
                f"holds several networks: {some([place for place, _ in found])}\n"
                "save the one that is meant alone, by torch.save(net.state_dict(), …)."
            )
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error.__cause__
    return found[0][1]


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; name one that holds a state dict.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); allow it.") from error
    if not content:
        raise CheckpointError(f"{path} is empty; name a file that holds a state dict.")
    return content


def _loaded(content: bytes) -> object:
    # A safetensors file is the length of its header in eight bytes, then the header in JSON. No
    # file of torch.save has a brace there.
    is_safetensors = content[8:9] == b"{"
    try:
        return safetensors.torch.load(content) if is_safetensors else read_inert(content)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        raise CheckpointError(
            "is damaged, cut short, or no file of torch.save or safetensors; "
            "make it with torch.save(net.state_dict(), …)."
        ) from error


def _fitting(
    states: Iterable[tuple[str, Mapping[str, Any]]],
    skeleton: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    kind: str,
) -> list[tuple[str, Weights]]:
    """Where state dicts of the expected shapes lie, and their weights; at least one."""
    found, misfits = [], []
    for place, values in states:
        state = _tensors(values)
        expected = skeleton(state)
        misfit = _misfit(state, expected)
        if misfit is None:
            found.append((place, _weights(state, expected)))
        else:
            misfits.append(misfit)
    if not found:
        raise CheckpointError(f"holds no {kind}: {misfits[0]}")
    return found


def _tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, value in values.items():
        tensor = to_tensor(value)
        if tensor is None:
            raise CheckpointError(f"holds a {kind_of(value)} as {name}, expected a tensor.")
        state[name] = tensor
    return state


def _misfit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """What a state dict has in another shape than is expected; None if nothing."""
    for name, like in expected.items():
        if state[name].shape != like.shape:
            return f"{name} has shape {tuple(state[name].shape)}, expected {tuple(like.shape)}."
    return None


def _weights(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Weights:
    tensors = {name: _canonical(name, state[name], of) for name, of in expected.items()}
    return weights_of(tensors)


def _canonical(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """The tensor in the type of `like`, contiguous and with memory of its own.

    Raises:
        CheckpointError: It is of a kind that has no such form, or not finite.
    """
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
    real = tensor.is_floating_point() or not like.is_floating_point()
    if not dense or not real or tensor.is_complex() or tensor.is_quantized:
        found = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise CheckpointError(f"holds {name} as {found}; expected plain floating-point numbers.")
    values = tensor.detach().to(like.dtype, copy=True, memory_format=torch.contiguous_format)
    # Before: a counter may come as a float. After: a double may be too large for a float.
    if not (tensor.detach().double().isfinite().all() and values.isfinite().all()):
        raise CheckpointError(f"holds numbers in {name} that are not finite; train it anew.")
    if name.endswith("running_var") and (values < 0).any():
        raise CheckpointError(f"holds negative variances in {name}; train it anew.")
    return values


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
