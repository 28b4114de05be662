"""Trained StudentNets from files that others wrote, read without running any code of theirs."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from models import StudentNet
from pruning.errors import CheckpointError

_CONTAINERS = ("state_dict", "model_state_dict", "model", "net")
_NESTING = 2  # a container, and one around it
_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel, of torch.compile
_BLOCKS = 8
_NAMED, _NAME_LENGTH = 3, 60


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A trained StudentNet.

    Attributes:
        channels: The eight blocks' channels.
        num_classes: Size of the output.
        tensors: Exactly the state dict of `StudentNet(channels=…, num_classes=…)`, in its order:
            contiguous, on the CPU, float32; batch norms' counters int64.
        sha256: Of the tensors. The same weights have the same digest, whatever file they are in.
    """

    channels: tuple[int, ...]
    num_classes: int
    tensors: Mapping[str, Tensor]
    sha256: str


def read_checkpoint(path: Path) -> Checkpoint:
    """The StudentNet whose state dict a file holds, such as the notebook's.

    The file is one that `torch.save` wrote, in either of its formats, or a safetensors file. The
    state dict may lie in a container (`state_dict`, `model_state_dict`, `model` or `net`, itself
    in another at most), its names may begin as DataParallel or torch.compile make them, and its
    tensors may be of any floating type and on any device.

    Raises:
        CheckpointError: The file cannot be read, needs code to be read, or holds anything but
            the finite weights of one StudentNet.

    Source: notebook, `student_custom_small.bin` and `custom_small_rate_*.bin`.
    """
    content = _content(path)
    try:
        state = _unwrapped(_loaded(content))
        channels, num_classes = _widths(state)
        expected = _skeleton(channels, num_classes)
        _check_shapes(state, expected)
        tensors = {name: _canonical(name, state[name], of) for name, of in expected.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error.__cause__
    return Checkpoint(
        channels=channels, num_classes=num_classes, tensors=tensors, sha256=_digest(tensors)
    )


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_safetensors:
                return safetensors.torch.load(content)
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is not None:
            raise CheckpointError(
                f"holds an object, and loading it would run code ({code[1]}); "
                "save the net's weights alone: torch.save(net.state_dict(), …)."
            ) from error
        raise CheckpointError(
            "is damaged, cut short, or no file of torch.save or safetensors; "
            "make it with torch.save(net.state_dict(), …)."
        ) from error


def _unwrapped(value: object) -> dict[str, Any]:
    """The state dict, out of its containers and with its names as the bare network has them."""
    for _ in range(_NESTING):
        if isinstance(value, Mapping):
            inner = [value.get(name) for name in _CONTAINERS]
            value = next((found for found in inner if isinstance(found, Mapping)), value)
    if not isinstance(value, Mapping):
        raise CheckpointError(
            f"holds a {type(value).__name__}, no state dict; "
            "make it with torch.save(net.state_dict(), …)."
        )
    state = {str(name): tensor for name, tensor in value.items()}
    while prefix := _common_prefix(state):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _common_prefix(state: Mapping[str, Any]) -> str:
    """What a wrapper put before all names; empty if nothing, or if there are none."""
    found = (prefix for prefix in _WRAPPERS if all(name.startswith(prefix) for name in state))
    return next(found, "") if state else ""


def _widths(state: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """Channels of the blocks and number of classes, as the leading sides of the weights."""
    wanted = _skeleton((1,) * _BLOCKS, 1)
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    problems = [
        f"{problem} {_some(names)}"
        for problem, names in (("lacks", missing), ("has besides", surplus))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"holds no state dict of a StudentNet: it {' and '.join(problems)}\n"
            "expected: cnn.0 to cnn.7 with layers 0, 1 and 3, and fc.0, of eight blocks."
        )
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"holds a {type(value).__name__} as {name}, expected a tensor.")
    outputs = ["cnn.0.0.weight", *(f"cnn.{block}.3.weight" for block in range(1, _BLOCKS))]
    *channels, num_classes = (
        _leading_side(name, state[name]) for name in [*outputs, "fc.0.weight"]
    )
    return tuple(channels), num_classes


def _leading_side(name: str, tensor: Tensor) -> int:
    if tensor.dim() == 0 or len(tensor) == 0:
        raise CheckpointError(
            f"holds no StudentNet: {name} has shape {tuple(tensor.shape)}, "
            "expected at least one channel."
        )
    return len(tensor)


def _skeleton(channels: tuple[int, ...], num_classes: int) -> dict[str, Tensor]:
    """The state dict of such a net in shapes and types alone."""
    with torch.device("meta"):
        return dict(StudentNet(channels=channels, num_classes=num_classes).state_dict())


def _check_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name, like in expected.items():
        if state[name].shape != like.shape:
            raise CheckpointError(
                f"holds no StudentNet: {name} has shape {tuple(state[name].shape)}, "
                f"expected {tuple(like.shape)}."
            )


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


def _some(names: list[str]) -> str:
    """The first names, printable and not too long, and how many more there are."""
    shown = ", ".join(ascii(name[:_NAME_LENGTH]) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return shown + (f" and {more} more" if more > 0 else "")
