"""Machines of a cluster that die, come late, or are shared: real Ray nodes on this machine."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from ray.cluster_utils import Cluster

from tests.command import BRIEF, NOT_THERE, TRIALS, Command, wait_for_output
from tests.faults.conftest import HOOKS
from tests.faults.invariants import assert_whole

# Its rounds do not end while there is a file; see Machines.
NET = """
import time
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Linear(16, num_classes)

    def forward(self, x):
        while self.training and Path("{hold}").exists():
            time.sleep(0.1)
        return self.head(self.stem(x).mean((2, 3)))
"""
SEARCH = (*BRIEF, "--model", "net.py:Net", "--rates", "0.3", "0.7")
PATIENCE = 240  # seconds for what is to happen

pytestmark = pytest.mark.slow


class Machines:
    """A cluster whose head has neither cores nor GPUs to train on."""

    def __init__(self, folder: Path, **head: Any) -> None:
        self.places = folder / "places"
        self.trace = folder / "trace"
        self.caches = folder / "caches"
        self._hold = folder / "hold"
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "num_gpus": 0, **head},
            shutdown_at_exit=False,
        )
        self.address = self._cluster.address
        self._last = 1

    def add(self) -> Any:
        """Another machine, with a GPU, an address, and a cache of its own."""
        self._last += 1
        name = f"127.0.0.{self._last}"
        cache = {"XDG_CACHE_HOME": str(self.caches / name)}
        return self._cluster.add_node(num_cpus=1, num_gpus=1, node_ip_address=name, env_vars=cache)

    def kill(self, node: Any = None) -> None:
        """Kill all that runs on a machine; on the head by default."""
        for daemons in (node or self._cluster.head_node).all_processes.values():
            for daemon in daemons:
                root = psutil.Process(daemon.process.pid)
                for process in (*root.children(recursive=True), root):
                    process.kill()

    def hold(self, rounds: int) -> None:
        """Let no round end, and wait until so many have begun."""
        self._hold.touch()
        wait_until(lambda: self._begun() - sum(self.rounds().values()) == rounds)

    def go_on(self) -> None:
        """Let rounds end."""
        self._hold.unlink()

    def _begun(self) -> int:
        return len(self.trace.read_text().splitlines()) if self.trace.exists() else 0

    def rounds(self) -> dict[str, int]:
        """How many were ended on each machine, by its id."""
        count: dict[str, int] = {}
        for line in self.places.read_text().splitlines() if self.places.exists() else ():
            node = line.split()[-1]
            count[node] = count.get(node, 0) + 1
        return count

    def shut_down(self) -> None:
        self._cluster.shutdown()


Make = Callable[..., Machines]


@pytest.fixture
def make(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Starts clusters whose workers say where they are and what they run."""
    (command.folder / "net.py").write_text(NET.replace("{hold}", str(command.folder / "hold")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NOT_THERE)
    monkeypatch.setenv("PYTHONPATH", str(HOOKS))
    monkeypatch.setenv("FAULT_PLACES", str(command.folder / "places"))
    monkeypatch.setenv("FAULT_TRACE", str(command.folder / "trace"))
    made: list[Machines] = []

    def start(**head: Any) -> Machines:
        made.append(Machines(command.folder, **head))
        return made[-1]

    yield start
    for machines in made:
        machines.shut_down()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_trained_once(machines: Machines, folder: Path, *, but: int) -> None:
    """No round was begun twice, but for so many that were in flight on what was killed."""
    begun = len(machines.trace.read_text().splitlines())
    stages = len(list(folder.rglob("stages/*/stage.json")))
    assert stages <= begun <= stages + but


def draw(folder: Path) -> None:
    """Some images of two classes."""
    for split, count in (("training", 40), ("validation", 10)):
        (folder / split).mkdir(parents=True)
        for index in range(count):
            image = Image.new("RGB", (16, 16), ("red", "blue")[index % 2])
            image.save(folder / split / f"{index % 2}_{index}.png")


def test_of_three_machines_one_is_killed_within_a_round(command: Command, make: Make) -> None:
    """Its round is run again elsewhere. The driver's machine has no GPU, the others no images."""
    draw(command.folder / "photos")
    machines = make()
    nodes = [machines.add() for _ in range(3)]
    out = command.folder / "out"
    process = command.start(
        *SEARCH, "--data", "photos", "--trials", "12", "--out", "out",
        "--address", machines.address,
    )  # fmt: skip
    wait_for_output(process, "12 trials by stage-tree on 3 worker(s)")
    (command.folder / "photos").rename(command.folder / "elsewhere")
    wait_for_output(process, "root:")
    machines.hold(3)
    machines.kill(nodes[0])
    machines.go_on()
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "(raylet)" not in output
    assert_whole(out, 12)
    assert_trained_once(machines, out, but=1)
    assert len(list(machines.caches.glob("*/*/packs/*/pack.json"))) == 3


def test_machines_that_come_late_are_used_also_when_none_is_left(
    command: Command, make: Make
) -> None:
    machines = make()
    first = machines.add()
    process = command.start(
        *SEARCH, "--trials", "12", "--out", "out", "--address", machines.address
    )
    wait_for_output(process, "12 trials by stage-tree on 1 worker(s)")
    wait_for_output(process, "root:")
    machines.hold(1)
    second = machines.add()
    wait_for_output(process, "The cluster has room for 1 more worker(s), 2 now.")
    machines.hold(2)
    machines.kill(first)
    machines.kill(second)
    wait_for_output(process, "No machine is left that has a GPU; the search waits for one.")
    machines.go_on()
    third = machines.add()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert third.node_id in machines.rounds()
    out = command.folder / "out"
    assert_whole(out, 12)
    assert_trained_once(machines, out, but=2)


def test_the_head_is_lost_and_two_searches_share_the_next_cluster(
    command: Command, make: Make
) -> None:
    """The first of them goes on where it was; neither disturbs the other."""
    machines = make()
    machines.add()
    process = command.start(
        *SEARCH, "--trials", str(TRIALS), "--out", "out", "--address", machines.address
    )
    wait_for_output(process, "root:")
    machines.hold(1)
    machines.kill()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, errors
    died, go_on = errors.splitlines()
    assert died in [f"Ray failed: its {daemon} has died." for daemon in ("raylet", "gcs_server")]
    assert go_on == "Go on with: python search/run.py --resume out"
    machines.go_on()

    machines.shut_down()
    cluster = make()
    for _ in range(2):
        cluster.add()
    where = ("--address", cluster.address, "--gpus", "1")
    both = [
        command.start("--resume", "out", *where),
        command.start(*SEARCH, "--trials", str(TRIALS), "--seed", "1", "--out", "other", *where),
    ]
    for process in both:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert "on 1 worker(s)" in output
    for folder in ("out", "other"):
        assert_whole(command.folder / folder, TRIALS)
    assert len(cluster.rounds()) == 3  # those of the first cluster's machine among them
    assert_trained_once(cluster, command.folder, but=1)
