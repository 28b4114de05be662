"""What a pickle holds, with nothing in it run: objects become inert records of themselves.

A pickle is a program: it names functions and classes of installed packages, and calls them. Here
it gets none of them. Of a file of `torch.save` PyTorch's own restricted reader makes the tensors,
and is given an inert class of ours for every name that it does not know; of a plain pickle every
name is such a class.
"""

import io
import pickle
import pickletools
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch

from pruning.errors import CheckpointError

_MOST_KINDS = 200  # a file is read once more for each
_PICKLE = b"\x80"
_LEGACY = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")  # near the start of old files
_LEGACY_WITHIN = 32
_OF_AN_OBJECT = re.compile("Can only|Only persistent_load|Trying to call")  # the reader's words
_INERT = "inert"  # module of the classes made here, by which the reader's errors name them


class Inert(list[Any]):
    """Stands for an object that was not made: keeps what it was to be made of, and does nothing.

    A list, because PyTorch's reader appends to nothing else; like an object it is only itself.

    Attributes:
        kind: Full name of the class or function that was to make it.
        arguments: What that was to be called with.
        state: What it was to be set to afterwards; None if to nothing.
    """

    kind: ClassVar[str] = ""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **_: Any) -> Self:
        """Take note of what would have been made."""
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __hash__(self) -> int:  # type: ignore[override]  # what is no list may be a key
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_inert(content: bytes) -> object:
    """What a file of `torch.save`, in either of its formats, or of `pickle.dump` holds.

    Tensors of `torch.save` are tensors, on the CPU; the like of numbers, texts, lists and
    dictionaries are themselves; everything else is `Inert`.

    Raises:
        CheckpointError: An object cannot be left out, or is of a module that nothing may name.
        Exception: Of any kind; the content is damaged, or of another format.
    """
    if content.startswith(_PICKLE) and _LEGACY not in content[:_LEGACY_WITHIN]:
        _check_places(content)
        return _PlainUnpickler(io.BytesIO(content)).load()
    kinds: dict[str, type] = {}
    while True:
        try:
            with warnings.catch_warnings(), _allowed(kinds):
                warnings.simplefilter("ignore")
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes the reader raise nearly anything
            message = str(error)
            further = _further(message, kinds)
            if not further or len(kinds) > _MOST_KINDS:
                latest = next(reversed(kinds), None) if _OF_AN_OBJECT.search(message) else None
                culprit = _refused_name(message) or latest
                if culprit is None:
                    raise
                raise CheckpointError(
                    f"holds an object, and loading it would run code ({culprit}); "
                    "save the net's weights alone: torch.save(net.state_dict(), …)."
                ) from error
            kinds |= further


def _check_places(content: bytes) -> None:
    """Refuse a place in a pickle's memory for which Python would take gigabytes of ours."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise pickle.UnpicklingError(f"place {argument}")


class _PlainUnpickler(pickle.Unpickler):
    """Of a pickle's instructions, those that call something reach inert classes only."""

    def find_class(self, module_name: str, global_name: str, /) -> type[Inert]:
        return _inert_kind(f"{module_name}.{global_name}")


class _Dictionary:
    """In place of a class of dictionaries: PyTorch's reader sets items of plain ones only."""

    def __new__(cls, *_: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


def _allowed(kinds: Mapping[str, type]) -> torch.serialization.safe_globals:
    return torch.serialization.safe_globals([(kind, name) for name, kind in kinds.items()])


def _inert_kind(name: str) -> type[Inert]:
    return type(name, (Inert,), {"kind": name, "__module__": _INERT})


def _further(message: str, kinds: Mapping[str, type]) -> dict[str, type]:
    """By what PyTorch's reader says, the class that it lacks; empty if no class would help it."""
    name = _refused_name(message)
    if name is not None:
        return {} if name in kinds else {name: _inert_kind(name)}
    items = re.search(rf"Can only SETITEMS? .* got <class '{_INERT}\.([\w.]+)'>", message)
    return {} if items is None or kinds.get(items[1]) is _Dictionary else {items[1]: _Dictionary}


def _refused_name(message: str) -> str | None:
    """The name that PyTorch's reader refused; of built-in ones it leaves out the module."""
    found = re.search(r"GLOBAL ([\w.]+)", message)
    if found is None:
        return None
    return found[1] if "." in found[1] else f"builtins.{found[1]}"
