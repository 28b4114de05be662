"""The command on GPUs that are declared, or that stand-ins speak for; none is needed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from ray.cluster_utils import Cluster

from tests.command import (
    BRIEF,
    NOT_THERE,
    Command,
    Here,
    states,
)
from tests.faults.conftest import HOOKS


@pytest.fixture
def four_declared_gpus(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of four GPUs and two cores, whose workers say where they are."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NOT_THERE)
    monkeypatch.setenv("PYTHONPATH", str(HOOKS))
    monkeypatch.setenv("FAULT_PLACES", str(command.folder / "places"))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 4}, shutdown_at_exit=False
    )
    yield cluster.address
    cluster.shutdown()


def at_once(places: Path) -> dict[str, set[str]]:
    """The processes that were in a round on each GPU at a moment when the most were in one."""
    events = []
    for line in places.read_text().splitlines():
        process, gpu, start, end, _ = line.split()
        events += [(float(start), 1, process, gpu), (float(end), 0, process, gpu)]
    busy: set[tuple[str, str]] = set()
    most: set[tuple[str, str]] = set()
    for _, starts, process, gpu in sorted(events):
        (busy.add if starts else busy.discard)((process, gpu))
        most = max(most, set(busy), key=len)
    return {gpu: {process for process, on in most if on == gpu} for _, gpu in most}


@pytest.mark.parametrize(
    ("gpus", "shares", "workers"),
    [(1, 2, 2), (4, 1, 4)],
)
@pytest.mark.slow
def test_trials_are_distributed_over_a_clusters_gpus(
    command: Command, four_declared_gpus: str, gpus: int, shares: int, workers: int
) -> None:
    """Ray hands out what a cluster declares, whether this machine has such a card or not.

    Where GPUs train, there may be more workers than cores.
    """
    done = command(
        *BRIEF, "--address", four_declared_gpus, "--gpus", str(gpus), "--trials-per-gpu",
        str(shares), "--trials", str(4 * workers), "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    assert states(folder) == [TrialState.COMPLETE] * 4 * workers
    hardware = json.loads((folder / "search.json").read_text())["hardware"]
    assert (hardware["gpus"], hardware["workers"]) == (gpus, workers)
    places = at_once(command.folder / "places")
    assert [len(processes) for processes in places.values()] == [shares] * gpus


@pytest.mark.slow
def test_trials_share_a_private_rays_gpu(tmp_path: Path, packs: Path) -> None:
    """One that is not there, and that Ray hands out under its own name."""
    places = tmp_path / "places"
    command = Command(
        tmp_path, packs, CUDA_VISIBLE_DEVICES="999", FAULT_GPUS="1",
        FAULT_PLACES=str(places), PYTHONPATH=str(HOOKS),
    )  # fmt: skip
    done = command(*BRIEF, "--trials-per-gpu", "3", "--trials", "12", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "on 3 worker(s)" in done.stdout
    ((gpu, processes),) = at_once(places).items()
    assert (gpu, len(processes)) == ("999", 3)


@pytest.mark.slow
def test_what_a_cluster_does_not_have_is_refused_or_left_out(
    command: Command, four_declared_gpus: str
) -> None:
    refused = command(*BRIEF, "--address", four_declared_gpus, "--gpus", "5")
    assert refused.returncode == 2
    assert "--gpus 5 was asked for, but there are 4" in refused.stderr
    refused = command(*BRIEF, "--address", four_declared_gpus, "--gpus", "1", "--workers", "2")
    assert refused.returncode == 2
    assert "--workers 2" in refused.stderr
    done = command(
        *BRIEF, "--address", four_declared_gpus, "--gpus", "0", "--workers", "3",
        "--trials", "2", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no free cores for 1 more worker(s)" in done.stdout


def test_cards_on_which_cuda_cannot_start_are_refused_or_left_alone(
    here: Here, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a driver that is too old: cards are listed, and all else fails."""
    shutil.copytree(finished, Path("out"))

    def start() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "_lazy_init", start)
    for arguments in (["--out", "new"], ["--gpus", "2"], ["--resume", "out"]):
        done = here(*arguments)
        assert done.returncode == 2, done.stderr
        assert "driver on your system is too old" in done.stderr
        assert "--gpus 0" in done.stderr
        assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in Path.cwd().iterdir()] == ["out"]
    assert here("--resume", "out", "--gpus", "0").returncode == 0


def test_a_search_keeps_its_precision(here: Here, finished: Path) -> None:
    """Also one of before it was kept: that which its first device had."""
    folder = shutil.copytree(finished, Path("out"))
    file = folder / "search.json"
    assert json.loads(file.read_text())["config"]["precision"] == "fp32"
    refused = here("--resume", "out", "--precision", "bf16")
    assert refused.returncode == 2
    assert "with --precision fp32, not with --precision bf16" in refused.stderr
    for device_type, precision in (("cuda", "bf16"), ("cpu", "fp32")):
        description = json.loads(file.read_text())
        description["config"]["precision"] = None
        description["hardware"]["device_type"] = device_type
        file.write_text(json.dumps(description))
        assert here("--resume", "out").returncode == 0
        assert json.loads(file.read_text())["config"]["precision"] == precision
