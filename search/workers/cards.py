"""Which of Ray's GPUs a search holds, and which of them each worker shares.

Ray by itself places every share of a GPU on its own, so that two halves can be halves of the GPUs
of two machines. Here whole GPUs are reserved, and workers are given shares of these.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import ray
from ray.air.execution import ResourceManager, ResourceRequest
from ray.air.execution.resources.placement_group import PlacementGroupAcquiredResources
from ray.tune.execution import tune_controller
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from search.errors import RefusedError
from search.workers.devices import Cards, Pool, visible_cards

_FREE_SECONDS = 120
_MORE_SECONDS = 10  # that a search waits for others when it has one
_ASK_SECONDS = 0.1


def free_cards(gpus: int) -> Cards:
    """Those of so many GPUs of a cluster that are free, as a worker on one of them sees them.

    Raises:
        RefusedError: None has become free.
    """
    cards = reserve(gpus)
    try:
        free = _wait_for(cards)
        if not free:
            raise RefusedError(
                f"No GPU of the cluster became free within {_FREE_SECONDS} seconds.\n"
                "Try again later, or run on its CPUs by --gpus 0."
            )
        there = PlacementGroupSchedulingStrategy(placement_group=free[0])
        look = _look.options(num_cpus=0, num_gpus=1, scheduling_strategy=there)
        seen: Cards = ray.get(look.remote())
        return replace(seen, count=len(free))
    finally:
        give_back(cards)


def _wait_for(cards: list[PlacementGroup]) -> list[PlacementGroup]:
    """Those that are free, all of them or at least one, if they do not take too long."""
    start = time.monotonic()
    while True:
        free = [card for card in cards if _is_held(card)]
        waited = time.monotonic() - start
        if len(free) == len(cards) or waited > (_MORE_SECONDS if free else _FREE_SECONDS):
            return free
        time.sleep(_ASK_SECONDS)


def _is_held(card: PlacementGroup) -> bool:
    """Whether it was free when it was reserved, or is by now, and its machine lives."""
    return bool(placement_group_table(card)["state"] == "CREATED")


@ray.remote
def _look() -> Cards:
    """What a worker that holds a GPU sees; clusters can declare GPUs that are not there."""
    cards = visible_cards()
    return cards if cards.count else Cards(device_type="cpu")


def reserve(gpus: int) -> list[PlacementGroup]:
    """Ask Ray for whole GPUs, each of which may be had now or later."""
    return [placement_group([{"GPU": 1}]) for _ in range(gpus)]


def give_back(cards: list[PlacementGroup]) -> None:
    """Free reserved GPUs; whatever runs on them ends."""
    with suppress(ray.exceptions.RayError):  # of a Ray that is gone
        for card in cards:
            remove_placement_group(card)


@contextmanager
def sharing_cards(pool: Pool) -> Iterator["CardManager | None"]:
    """Have Ray Tune place the workers of a pool on GPUs that are reserved for them.

    Yields:
        Who gives them out; None on the CPU.
    """
    if not pool.gpus:
        yield None
        return
    usual = tune_controller.PlacementGroupResourceManager
    manager = CardManager(reserve(pool.gpus), shares=pool.workers // pool.gpus)
    tune_controller.PlacementGroupResourceManager = lambda: manager
    try:
        yield manager
    finally:
        tune_controller.PlacementGroupResourceManager = usual
        give_back(manager.cards)


class CardManager(ResourceManager):
    """Gives out shares of reserved GPUs; see Ray's `ResourceManager`.

    Args:
        cards: The GPUs.
        shares: How many of each there are.
    """

    def __init__(self, cards: list[PlacementGroup], *, shares: int) -> None:
        self._shares = shares
        self._coming: dict[Any, PlacementGroup] = {}
        self._free: list[PlacementGroup] = []
        self.cards: list[PlacementGroup] = []
        self.add(cards)

    def add(self, cards: list[PlacementGroup]) -> None:
        """Give out further GPUs, as soon as they can be had."""
        self.cards += cards
        self._coming |= {card.ready(): card for card in cards}

    @property
    def workers(self) -> int:
        """How many the GPUs have room for that could be had so far."""
        return (len(self.cards) - len(self._coming)) * self._shares

    def request_resources(self, resource_request: ResourceRequest) -> None:
        """Do nothing: all GPUs that there will be are reserved."""

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        """Do nothing, likewise."""

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        """Whether a share is free."""
        self.update_state()
        return any(map(_is_held, set(self._free)))

    def acquire_resources(self, resource_request: ResourceRequest) -> Any:
        """A free share, or None; of the GPU that has the most of them."""
        self.update_state()
        held = list(filter(_is_held, set(self._free)))
        if not held:
            return None
        card = max(held, key=self._free.count)
        self._free.remove(card)
        return PlacementGroupAcquiredResources(
            resource_request=resource_request, placement_group=card
        )

    def free_resources(self, acquired_resource: Any) -> None:
        """Take a share back."""
        self._free.append(acquired_resource.placement_group)

    def get_resource_futures(self) -> list[Any]:
        """What to wait for: GPUs that are reserved, and not yet free."""
        return list(self._coming)

    def update_state(self) -> None:
        """Take note of GPUs that have become free."""
        ready, _ = ray.wait(list(self._coming), num_returns=len(self._coming), timeout=0)
        for future in ready:
            self._free += [self._coming.pop(future)] * self._shares

    def clear(self) -> None:
        """Do nothing: whoever has reserved the GPUs gives them back."""
