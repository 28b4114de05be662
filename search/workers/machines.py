"""The machines of a cluster that was joined: which go, and what those bring that come."""

import re
import time
from collections.abc import Callable

import ray

from search.campaign.assignments import Assignments
from search.workers.cards import CardManager, reserve
from search.workers.crew import Crew
from search.workers.devices import Pool

_LOOK_SECONDS = 5


def machine_in(text: str) -> str:
    """Of what Ray says, on which machine it was, as the end of a sentence; empty if it is not."""
    found = re.search(r"\bip[:=] ?([\w.:]*\w)", text)
    return f" on the machine {found[1]}" if found else ""


class Machines:
    """Says which machines are gone, and has a search take up what there is more of.

    That is only for a pool that is to have all of its cluster: machines that come late, GPUs and
    cores that others have had. What takes the place of a machine that is gone, Ray itself gives to
    the workers that are missing.

    Args:
        pool: The workers to begin with.
        crew: Is told of more workers.
        assignments: Likewise.
        cards: Gives out GPUs; None on the CPU.
        say: Called with what a user should know.
    """

    def __init__(
        self,
        pool: Pool,
        crew: Crew,
        assignments: Assignments,
        cards: CardManager | None,
        say: Callable[[str], None],
    ) -> None:
        self._grows = pool.grows
        self._crew = crew
        self._assignments = assignments
        self._cards = cards
        self._say = say
        self._kind = "CPU" if cards is None else "GPU"
        self._there, self._room = _look(self._kind)
        self._next = time.monotonic() + _LOOK_SECONDS

    def look(self) -> None:
        """See who is there, if it is time to."""
        if time.monotonic() < self._next:
            return
        there, room = _look(self._kind)
        for node, address in self._there.items():
            if node not in there:
                self._say(f"The machine {address} is gone; its rounds are run again elsewhere.")
        if self._room and not room:
            self._say(f"No machine is left that has a {self._kind}; the search waits for one.")
        self._there, self._room = there, room
        if self._grows:
            self._grow()
        self._next = time.monotonic() + _LOOK_SECONDS

    def _grow(self) -> None:
        if self._cards is None:
            more = self._free_cores()
        else:
            late = int(self._room) - len(self._cards.cards)
            self._cards.add(reserve(max(0, late)))
            more = self._cards.workers - self._crew.workers
        if more > 0:
            self._crew.workers += more
            self._assignments.ahead += more
            self._say(f"The cluster has room for {more} more worker(s), {self._crew.workers} now.")

    def _free_cores(self) -> int:
        """Cores that no worker has; those of workers that are missing are theirs."""
        room = int(self._room) - self._crew.workers
        if room <= 0 or self._crew.missing:
            return 0
        return min(room, int(ray.available_resources().get("CPU", 0)))


def _look(kind: str) -> tuple[dict[str, str], float]:
    """The addresses of the machines that live, by their ids, and how much they have in all."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    there = {node["NodeID"]: node["NodeManagerAddress"] for node in alive}
    return there, sum(node["Resources"].get(kind, 0) for node in alive)
