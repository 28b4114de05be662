"""State dicts in the object that a file holds."""

from collections.abc import Iterable, Iterator, Mapping
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


def states_in(
    value: object, wanted: tuple[str, ...], kind: str
) -> list[tuple[str, dict[str, Any]]]:
    """Where in a file's object the state dicts of these names lie, and they themselves.

    Args:
        value: What a file holds.
        wanted: The names, in order.
        kind: What networks of these names are called, in messages.

    Returns:
        At least one place and state dict.

    Raises:
        CheckpointError: There is none.
    """
    states = [
        found
        for place, mapping in _mappings(value)
        for found in _bare(_join(place), mapping, wanted)
    ]
    if not states:
        raise CheckpointError(
            f"holds a {kind_of(value)}, no state dict; "
            "make it with torch.save(net.state_dict(), …)."
        )
    whole = [(place, state) for place, state in states if state.keys() == set(wanted)]
    if not whole:
        nearest = max((state for _, state in states), key=lambda one: len(one.keys() & {*wanted}))
        raise CheckpointError(_difference(nearest, wanted, kind))
    return whole


def _mappings(
    value: object, place: tuple[str, ...] = (), nesting: int = _NESTING
) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Dictionaries and whole networks in a file's object, and where: outer ones first."""
    if isinstance(value, Inert):
        value = module_weights(value) or None
    if isinstance(value, Mapping):
        yield place, value
        inner = [(_name(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(f"[{number}]", one) for number, one in enumerate(value)]
    else:
        return
    if nesting:
        for name, one in inner:
            yield from _mappings(one, (*place, name), nesting - 1)


def _bare(
    place: str, mapping: Mapping[Any, Any], wanted: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """State dicts with the names that a bare network gives, and with all of its counters.

    A mapping holds one behind every prefix behind which there are names of the network; what
    belongs to a whole one is no part of those around it.
    """
    named = {_name(key).replace(_COMPILED, ""): value for key, value in mapping.items()}
    left = {
        name: value for name, value in named.items() if name.rpartition(".")[2] not in _COUNTERS
    }
    counters = {name: torch.tensor(0) for name in wanted if name.endswith(_SEEN)}
    for prefix in _prefixes(left, wanted):
        state = {
            name.removeprefix(prefix): value
            for name, value in left.items()
            if name.startswith(prefix)
        }
        if any(name in state for name in wanted):
            state = counters | state
        if state.keys() == set(wanted):
            left = {name: value for name, value in left.items() if not name.startswith(prefix)}
        yield _join((place, prefix)), state


def _prefixes(names: Iterable[str], wanted: tuple[str, ...]) -> list[str]:
    """What stands before the first or the last of the wanted names; the inmost come first."""
    ends = wanted[0], wanted[-1]
    found = {
        name.removesuffix(end) for name in names for end in ends if f".{name}".endswith(f".{end}")
    }
    return sorted(found | {""}, key=lambda prefix: (-prefix.count("."), prefix))


def _join(names: tuple[str, ...]) -> str:
    return ".".join(filter(None, (name.strip(".") for name in names)))


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
