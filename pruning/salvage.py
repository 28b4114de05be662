"""Weights out of the inert records that `read_inert` leaves of arrays and of whole networks."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruning.inert import Inert, read_inert

_NUMBERS = ("f2", "f4", "f8", "u1", "i1", "i2", "i4", "i8")
_ORDERS = ("<", ">", "|", "=")
_LARGEST_CODE = 255
_QUANTIZED = 3  # least, greatest, codes


def to_tensor(value: object) -> Tensor | None:
    """The numbers of a tensor, of an array or scalar of NumPy's, or of a quantized array.

    A quantized array is a tuple of its least and its greatest value and an array of bytes, of
    which 0 stands for the one and 255 for the other, as in the course's `8_bit_model.pkl`.

    Args:
        value: A tensor, what `read_inert` left of an array or scalar, or a tuple of these.

    Returns:
        The tensor itself, or a new one; None if it is nothing of the kind.
    """
    if not isinstance(value, tuple) or len(value) != _QUANTIZED:
        return _numbers(value)
    least, greatest, codes = map(_numbers, value)
    if least is None or greatest is None or codes is None or codes.dtype != torch.uint8:
        return None
    if least.dim() or greatest.dim():
        return None
    return least + codes.double() / _LARGEST_CODE * (greatest - least)


def module_weights(network: Inert) -> Mapping[str, Any]:
    """The state dict of what is left of a whole network; empty if it is none."""
    weights: dict[str, Any] = {}
    seen: set[Inert] = set()  # a file may hold a module that holds itself
    waiting = [("", network)]
    while waiting:
        prefix, module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name, part in _parts(module, "_parameters", "_buffers"):
            weights[prefix + name] = part
        for name, part in _parts(module, "_modules"):
            if isinstance(part, Inert):
                waiting.append((f"{prefix}{name}.", part))
    return weights


def _parts(module: Inert, *kinds: str) -> Iterator[tuple[str, Any]]:
    held = module.state if isinstance(module.state, Mapping) else {}
    for kind in kinds:
        if isinstance(parts := held.get(kind), Mapping):
            yield from ((str(name), part) for name, part in parts.items() if part is not None)


def _numbers(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, Inert):
        return None
    package, function = value.kind.partition(".")[0], value.kind.rpartition(".")[2]
    try:
        if package == "numpy":  # between these two NumPy 2 has renamed the modules
            return _of_array(function, value)
        if package == "torch":
            return _of_tensor(function, value)
    except Exception:  # a record that was made up makes its readers raise nearly anything
        return None
    return None


def _of_array(function: str, value: Inert) -> Tensor:
    """The array that NumPy would have made of its record, whose forms are those of its pickles."""
    by_columns: Any = False
    shape: Any = ()
    match function:
        case "_reconstruct":
            _, shape, kind, by_columns, numbers = value.state
        case "_frombuffer":
            numbers, kind, shape, order = value.arguments
            by_columns = order == "F"
        case "scalar":
            kind, numbers = value.arguments
        case _:
            raise ValueError(value.kind)
    flat = np.frombuffer(_bytes(numbers), dtype=_kind(kind))
    array = flat.reshape(shape, order="F" if by_columns else "C")
    # In the machine's order of bytes, and with memory of its own.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=True))


def _of_tensor(function: str, value: Inert) -> Tensor:
    """The tensor that a plain pickle describes; its storage is a small file of torch.save's."""
    if function == "_rebuild_parameter":
        value = value.arguments[0]
    storage, offset, size, stride, *_ = value.arguments
    stored: Any = read_inert(_bytes(storage.arguments[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of typed storages, which are what is in such files
        return torch.empty(0, dtype=stored.dtype).set_(stored.untyped(), offset, size, stride)


def _kind(value: object) -> "np.dtype[Any]":
    if not isinstance(value, Inert) or value.kind != "numpy.dtype":
        raise TypeError(value)
    number, order = value.arguments[0], value.state[1]
    if number not in _NUMBERS or order not in _ORDERS:
        raise ValueError(number)
    kind: np.dtype[Any] = np.dtype(order + number)
    return kind


def _bytes(value: Any) -> Any:
    """The bytes that are text in pickles of before protocol 3."""
    is_text = isinstance(value, Inert) and value.kind == "_codecs.encode"
    return value.arguments[0].encode("latin1") if is_text else value
