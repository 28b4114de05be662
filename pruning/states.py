"""State dicts in the object that a file holds."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pruning.errors import CheckpointError
from pruning.inert import Inert
from pruning.salvage import module_weights

_NESTING = 2  # a container, and one around it
_COMPILED = "_orig_mod."  # torch.compile's, before the name of what was compiled
_COUNTERS = ("n_averaged", "total_ops", "total_params")  # of AveragedModel, of thop
_SEEN = "num_batches_tracked"  # is not there in files of old; nothing depends on it
_NAMED, _NAME_LENGTH = 3, 60


def states_in(value: object, wanted: tuple[str, ...], kind: str) -> dict[str, dict[str, Any]]:
    """The state dicts of these names, and where each lies; at least one.

    Args:
        value: What a file holds.
        wanted: The names, in order.
        kind: What networks of these names are called, in messages.

    Raises:
        CheckpointError: There is none.
    """
    states = {place: _bare(mapping, wanted) for place, mapping in _mappings(value)}
    if not states:
        raise CheckpointError(
            f"holds a {kind_of(value)}, no state dict; "
            "make it with torch.save(net.state_dict(), …)."
        )
    found = {place: state for place, state in states.items() if state.keys() == set(wanted)}
    if not found:
        nearest = max(states.values(), key=lambda state: len(state.keys() & set(wanted)))
        raise CheckpointError(_difference(nearest, wanted, kind))
    return found


def _mappings(
    value: object, place: str = "", nesting: int = _NESTING
) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Dictionaries and whole networks in a file's object, and where: outer ones first."""
    if isinstance(value, Inert):
        value = module_weights(value) or None
    if not isinstance(value, Mapping):
        return
    yield place, value
    if nesting:
        for key, inner in value.items():
            yield from _mappings(inner, f"{place}.{_name(key)}".lstrip("."), nesting - 1)


def _bare(mapping: Mapping[Any, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """A state dict with the names that the bare network gives, and with all of its counters."""
    named = {_name(key).replace(_COMPILED, ""): value for key, value in mapping.items()}
    state = {
        name: value for name, value in named.items() if name.rpartition(".")[2] not in _COUNTERS
    }
    first = wanted[0]
    wrapped = (name.removesuffix(first) for name in state if name.endswith(f".{first}"))
    prefix = next(wrapped, "")
    if all(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    if any(name in state for name in wanted):
        for name in wanted:
            if name.endswith(_SEEN):
                state.setdefault(name, torch.tensor(0))
    return state


def _difference(state: Mapping[str, Any], wanted: tuple[str, ...], kind: str) -> str:
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    problems = [
        f"{problem} {some(names)}"
        for problem, names in (("lacks", missing), ("has besides", surplus))
        if names
    ]
    return (
        f"holds no state dict of a {kind}: it {' and '.join(problems)}\n"
        f"expected: {len(wanted)} tensors, from {wanted[0]} to {wanted[-1]}."
    )


def _name(key: object) -> str:
    return key if isinstance(key, str) else f"a key of type {kind_of(key)}"


def kind_of(value: object) -> str:
    """What an object of a file is, for messages."""
    return ascii(value.kind)[1:-1] if isinstance(value, Inert) else type(value).__name__


def some(names: list[str]) -> str:
    """The first names, printable and not too long, and how many more there are."""
    shown = ", ".join(ascii(name[:_NAME_LENGTH]) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return shown + (f" and {more} more" if more > 0 else "")
