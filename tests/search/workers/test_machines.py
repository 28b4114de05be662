"""What is seen of a cluster's machines; whole searches on them are in tests/faults."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.exceptions import RayTaskError

from search.errors import BrokenOffError
from search.workers import machines as module
from search.workers.crew import Crew
from search.workers.devices import Cards, PoolRequest, make_pool
from search.workers.machines import Machines, machine_in
from search.workers.ray_cluster import failing_in_words


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Joined, of a machine with one core."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0)
    head = {"num_cpus": 1, "num_gpus": 0}
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_cores_that_come_late_are_for_those_that_are_to_have_all(cluster: Cluster) -> None:
    def look(*, grows: bool) -> tuple[Machines, Crew, Any, list[str]]:
        request = PoolRequest(gpus=0, workers=1, address=cluster.address)
        pool = replace(make_pool(request, cards=Cards(), cores=1), grows=grows)
        crew, assignments, said = Crew(1), SimpleNamespace(ahead=1), []
        crew.start("first")
        return (
            Machines(pool, crew, assignments, None, said.append),
            crew,
            assignments,
            said,
        )

    fixed, growing = look(grows=False), look(grows=True)
    late = cluster.add_node(num_cpus=2, num_gpus=0, node_ip_address="127.0.0.2")
    for machines, *_ in (fixed, growing):
        machines.look()
        machines.look()
    assert (fixed[1].workers, fixed[2].ahead, fixed[3]) == (1, 1, [])
    assert (growing[1].workers, growing[2].ahead) == (3, 3)
    assert growing[3] == ["The cluster has room for 2 more worker(s), 3 now."]

    cluster.remove_node(late)
    machines, crew, _, said = growing
    while len(said) == 1:
        machines.look()
    assert said[1:] == ["The machine 127.0.0.2 is gone; its rounds are run again elsewhere."]
    assert crew.workers == 3  # another machine may take its place


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("\x1b[36mray::_look()\x1b[39m (pid=488, ip=10.0.0.8)", " on the machine 10.0.0.8"),
        ("\tpid: 7\n\tip: 10.0.0.8\n", " on the machine 10.0.0.8"),
        ("The worker died.", ""),
    ],
)
def test_the_machine_is_found_in_what_ray_says(text: str, machine: str) -> None:
    assert machine_in(text) == machine


def test_a_task_that_failed_is_told_by_its_machine_and_its_last_line() -> None:
    trace = "ray::_look() (pid=488, ip=10.0.0.8)\n  a line\nModuleNotFoundError: No module 'x'\n"
    message = "^Ray failed on the machine 10.0.0.8: ModuleNotFoundError: No module 'x'$"
    with pytest.raises(BrokenOffError, match=message), failing_in_words():
        raise RayTaskError("_look", trace, RuntimeError())
