"""Brings files of the driver's machine to others, in pieces."""

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.errors import SearchError

_PIECE = 2**24  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Courier:
    """Copies files from a machine of Ray's to the one on which it is called.

    Attributes:
        node: Ray's id of the machine.
    """

    node: str

    @classmethod
    def of_this_machine(cls) -> Self:
        """One that takes files from here to wherever it is sent."""
        return cls(node=ray.get_runtime_context().get_node_id())

    def __call__(self, there: Path, here: Path) -> None:
        """Copy a file.

        Raises:
            SearchError: It is gone.
            OSError: It cannot be written here.
        """
        strategy = NodeAffinitySchedulingStrategy(self.node, soft=False)
        read = ray.remote(_read).options(num_cpus=0, scheduling_strategy=strategy)
        with here.open("wb") as file:
            for at in count(step=_PIECE):
                piece: bytes | None = ray.get(read.remote(there, at))
                if piece is None:
                    raise SearchError(
                        f"{there} is gone from the driver's machine; --resume packs it again"
                    )
                file.write(piece)
                if len(piece) < _PIECE:
                    break
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path, at: int) -> bytes | None:
    """A piece of a file, from a position on; None if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(_PIECE)
    except FileNotFoundError:
        return None
