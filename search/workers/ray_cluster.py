"""What Ray offers, and how its daemons fare."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from models import first_line
from search.errors import BrokenOffError
from search.workers.cards import free_cards
from search.workers.devices import (
    Cards,
    Pool,
    PoolRequest,
    make_pool,
    usable_cores,
    visible_cards,
)
from search.workers.machines import machine_in
from search.workers.ray_start import check_room, join_ray
from search.workers.store_actor import Activity, StoreActor

_CONNECT_SECONDS = 5
_WATCH_SECONDS = 0.05  # Ray may end this process, without a word, soon after its daemons
_MORE_SECONDS = 10  # that a search waits for more cores of a cluster than are free
_ASK_SECONDS = 1  # between questions to the daemons of a cluster
_PATIENCE = {"raylet": 0, "gcs_server": 20}  # seconds without an answer; the latter may be far
_ANSWER_SECONDS = 0.5  # that a status may wait for the store's actor, which can still be starting
_DEAF_SECONDS = 300  # without an answer of it, after which a run ends
_DAEMONS = ("gcs_server", "raylet")


@contextmanager
def worker_pool(request: PoolRequest) -> Iterator[Pool]:
    """Find out where trials will run; joins the cluster of --address, if there is one.

    Yields:
        The workers that the search may use. Ray is left when the context ends.

    Raises:
        RefusedError: More GPUs were asked for than there are, there is no such cluster, or this
            machine has no room for a Ray.
    """
    try:
        if request.private:
            cards = Cards() if request.gpus == 0 else visible_cards()
            pool = make_pool(request, cards=cards, cores=usable_cores())
            check_room(pool.workers)
            yield pool
        else:
            join_ray(str(request.address))
            yield _cluster_pool(request)
    finally:
        leave_ray()


def leave_ray() -> None:
    """End a private Ray, or leave the cluster: workers end, and what they hold is free again."""
    ray.shutdown()


@contextmanager
def failing_in_words() -> Iterator[None]:
    """Put Ray's failures into our words.

    Raises:
        BrokenOffError: Ray failed.
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:  # it begins with where, and ends with what
        where, *_, what = str(error).strip().splitlines()
        raise BrokenOffError(f"Ray failed{machine_in(where)}: {what.strip()}") from error
    except ray.exceptions.RayError as error:
        raise BrokenOffError(f"Ray failed: {first_line(error)}") from error


@contextmanager
def watching_daemons(on_death: Callable[[str], None]) -> Iterator[None]:
    """Call `on_death` with the name of one of Ray's daemons that has died.

    Those of a private Ray are children of this process. Of a cluster that was joined, this
    machine's raylet is dead when it refuses a connection, and the control store when it has taken
    none for some time. The call comes from another thread: the main one may be waiting for that
    very daemon, inside Ray, which would end the program after a minute without a word on how to go
    on, or never.
    """
    node = ray._private.worker._global_node
    joined = not node.all_processes
    over = threading.Event()

    def watch() -> None:
        gone: dict[str, float] = {}  # since when
        while not over.wait(_ASK_SECONDS if joined else _WATCH_SECONDS):
            now = time.monotonic()
            names = _silent(node) if joined else {name for name, _ in node.dead_processes()}
            gone = {name: gone.get(name, now) for name in names.intersection(_DAEMONS)}
            for name, since in gone.items():
                if not joined or now - since >= _PATIENCE[name]:
                    on_death(name)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _silent(node: Any) -> set[str]:
    """Which daemons of a cluster take no connection; a raylet that is only busy is not silent."""
    silent = set()
    host, _, port = node.gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError:
        silent.add("gcs_server")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as raylet:
        raylet.settimeout(_CONNECT_SECONDS)
        try:
            raylet.connect(node.raylet_socket_name)
        except (ConnectionRefusedError, FileNotFoundError):
            silent.add("raylet")
    return silent


def start_store(folder: Path, max_epochs: int | None) -> Any:
    """Start the store's writer on this machine; returns its handle."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(StoreActor).options(
        num_cpus=0,
        scheduling_strategy=here,
        # Killed, it comes back. All that it knows is on disk, but for claims; a stage that two
        # trials train because claims were lost is committed once.
        max_restarts=-1,
        max_task_retries=-1,
    )
    return actor.remote(folder.absolute(), max_epochs)


class Activities:
    """Asks the store's actor what workers are doing.

    Args:
        store: Its handle.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._answered = time.monotonic()

    def __call__(self) -> dict[int, Activity]:
        """What each trial's worker is doing; nothing if the actor does not answer soon.

        Raises:
            BrokenOffError: It has not answered for minutes.
        """
        try:
            answer: dict[int, Activity] = ray.get(
                self._store.activities.remote(), timeout=_ANSWER_SECONDS
            )
        except ray.exceptions.GetTimeoutError:
            if time.monotonic() - self._answered > _DEAF_SECONDS:
                raise BrokenOffError(
                    f"The stage store has not answered for {_DEAF_SECONDS} seconds."
                ) from None
            return {}
        self._answered = time.monotonic()
        return answer


def _cluster_pool(request: PoolRequest) -> Pool:
    """As many workers as were asked for, or as the cluster has room for now."""
    resources = ray.cluster_resources()
    cards = Cards(count=int(resources.get("GPU", 0)))
    asked = make_pool(request, cards=cards, cores=int(resources.get("CPU", 1)))
    if asked.gpus:
        cards = free_cards(asked.gpus)
        had = replace(request, gpus=cards.count)
    else:
        had = replace(request, gpus=0, workers=max(1, _free_cores(asked.workers)))
    pool = make_pool(had, cards=cards, cores=1)
    grows = request.gpus is None if pool.gpus else request.workers is None
    return replace(pool, left_out=asked.workers - pool.workers, grows=grows)


def _free_cores(wanted: int) -> int:
    """How many of so many cores are free; those of a search that has just ended are so soon."""
    deadline = time.monotonic() + _MORE_SECONDS
    while True:
        free = min(wanted, int(ray.available_resources().get("CPU", 0)))
        if free == wanted or time.monotonic() > deadline:
            return free
        time.sleep(_ASK_SECONDS)
