"""Real Ray, with GPUs that are declared and need not be there."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import ray
from ray.air.execution import ResourceRequest
from ray.cluster_utils import Cluster

from search.errors import RefusedError
from search.workers import cards as module
from search.workers.cards import CardManager, free_cards, give_back, reserve
from tests.command import NOT_THERE

JoinCluster = Callable[[int, int], Cluster]
Place = tuple[str, str]
"""A machine, and its GPU."""


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> Iterator[JoinCluster]:
    """Joins a cluster of so many machines with so many GPUs each, and one core in all."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NOT_THERE)
    clusters = []

    def join(machines: int, gpus: int) -> Cluster:
        head = {"num_cpus": 1, "num_gpus": gpus}
        cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        clusters.append(cluster)
        for _ in range(machines - 1):
            cluster.add_node(num_cpus=0, num_gpus=gpus)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        return cluster

    yield join
    ray.shutdown()
    for cluster in clusters:
        cluster.shutdown()


@ray.remote
class Worker:
    def place(self) -> Place:
        return ray.get_runtime_context().get_node_id(), os.environ["CUDA_VISIBLE_DEVICES"]


@dataclass
class Tune:
    """Places workers by a manager as Ray Tune does, as many as it has room for."""

    manager: CardManager
    share: float

    def place(self) -> list[tuple[Any, Any, Place]]:
        """For each worker what it has acquired, its handle and where it is, all at one time."""
        request = ResourceRequest([{"GPU": self.share}])
        while self.manager.get_resource_futures():
            ray.wait(self.manager.get_resource_futures(), num_returns=1)
            self.manager.update_state()
        acquired = []
        while (one := self.manager.acquire_resources(request)) is not None:
            acquired.append(one)
        workers = [one.annotate_remote_entities([Worker])[0].remote() for one in acquired]
        places = ray.get([worker.place.remote() for worker in workers], timeout=60)
        return list(zip(acquired, workers, places, strict=True))


@pytest.mark.parametrize(
    ("machines", "present", "gpus", "shares"),
    [
        (1, 4, 4, 1),
        pytest.param(1, 2, 2, 3, marks=pytest.mark.slow),
        pytest.param(2, 2, 1, 2, marks=pytest.mark.slow),
        pytest.param(2, 2, 3, 2, marks=pytest.mark.slow),
    ],
)
def test_every_card_has_its_share_of_workers(
    join: JoinCluster, machines: int, present: int, gpus: int, shares: int
) -> None:
    """As many as are to share it, and no other card has any, wherever it is."""
    join(machines, present)
    placed = Tune(CardManager(reserve(gpus), shares=shares), 1 / shares).place()
    assert sorted(Counter(place for *_, place in placed).values()) == [shares] * gpus


def test_a_worker_that_replaces_another_has_its_card(join: JoinCluster) -> None:
    join(1, 2)
    tune = Tune(CardManager(reserve(2), shares=2), 0.5)
    before = tune.place()
    assert tune.place() == []
    acquired, worker, place = before[1]
    ray.kill(worker)
    tune.manager.free_resources(acquired)
    ((*_, again),) = tune.place()
    assert again == place


@pytest.mark.slow
def test_no_worker_is_placed_on_a_machine_that_is_gone(join: JoinCluster) -> None:
    cluster = join(2, 1)
    tune = Tune(CardManager(reserve(2), shares=2), 0.5)
    (lost,) = cluster.worker_nodes
    placed = tune.place()
    cluster.remove_node(lost)
    for acquired, worker, _ in placed:
        ray.kill(worker)
        tune.manager.free_resources(acquired)
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        time.sleep(0.1)
    left = {place for *_, place in placed if place[0] != lost.node_id}
    again = tune.place()
    assert [place for *_, place in again] == [*left] * 2


def test_what_others_hold_is_left_out(join: JoinCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    join(1, 2)
    cards = free_cards(2)
    assert cards.count == 2
    (other,) = reserve(1)
    assert other.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MORE_SECONDS", 0.5)
        assert free_cards(2).count == 1
    (last,) = reserve(1)
    assert last.wait(60)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_FREE_SECONDS", 0.5)
        with pytest.raises(RefusedError, match=r"No GPU .*\n.*--gpus 0"):
            free_cards(1)
    give_back([other, last])
    assert free_cards(1).count == 1
